// The model of the chapter on pools, for its further programs.

#[message]
#[derive(Debug, PartialEq)]
enum Refused {
    NotANumber,
}

#[actor_service]
trait Model {
    #[idempotent]
    async fn predict(&self, x: f64) -> f64;
    async fn update(&mut self, factor: f64) -> Result<f64, Refused>;
    fn log(&self) -> impl Stream<Item = String>;
}

struct Linear(f64);

#[actor_service]
impl Model for Linear {
    async fn predict(&self, x: f64) -> f64 {
        self.0 * x
    }

    async fn update(&mut self, factor: f64) -> Result<f64, Refused> {
        if factor.is_nan() { Err(Refused::NotANumber) } else { Ok(std::mem::replace(&mut self.0, factor)) }
    }

    fn log(&self) -> impl Stream<Item = String> {
        stream::iter([format!("loaded {}", self.0), "ready".to_owned()])
    }
}

async fn server(factor: f64) -> Result<ActorServer, Box<dyn std::error::Error>> {
    let server = ActorServer::bind_on(&Node::builder().build()?, "loopback:0").await?;
    server.register("model", Linear(factor))?;
    Ok(server)
}

async fn servers() -> Result<(Vec<ActorServer>, FixedResolver), Box<dyn std::error::Error>> {
    let servers = vec![server(1.0).await?, server(2.0).await?, server(3.0).await?];
    let resolver = FixedResolver::new(servers.iter().map(|server| ("model", server.address())));
    Ok((servers, resolver))
}
