use std::{
    fmt,
    net::IpAddr,
    ops::Range,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
    date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::{CertificateDer, DnsName, PrivatePkcs8KeyDer};
use webpki::EndEntityCert;

use super::{Identity, TrustError, der, identity};
use crate::node::clock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority of one's own: who has its certificate believes the nodes that it issued an [`Identity`] to.
///
/// For tests, and for clusters whose users have no authority yet. All nodes of a cluster need its
/// [`certificate_pem`](Self::certificate_pem); none needs its key.
///
/// ```
/// use actor_runtime::{Authority, Trust};
///
/// let authority = Authority::new("cluster")?;
/// let trust = Trust::builder()
///     .identity(authority.issue(["actor://cluster/node-1", "127.0.0.1"])?)
///     .authority(&authority)
///     .build()?;
/// # let _ = trust;
/// # Ok::<(), actor_runtime::TrustError>(())
/// ```
pub struct Authority {
    name: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// An authority of this name with a new key, valid for ten years from now.
    ///
    /// The name is for people to read in certificates: 1 to 64 characters.
    ///
    /// # Errors
    /// [`TrustError::AuthorityName`], or [`TrustError::Issue`] if the system has no randomness.
    pub fn new(name: impl Into<String>) -> Result<Self, TrustError> {
        Self::generate(name.into(), Reach::Anywhere, from_now(3653 * DAY))
    }

    /// An authority whose certificates and handshakes have the same lengths in every run: signatures of Ed25519 do not
    /// vary as those of ECDSA do.
    #[cfg(feature = "testing")]
    pub(crate) fn repeatable(name: &str) -> Result<Self, TrustError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(TrustError::issue)?;
        Self::of_key(name.to_owned(), Reach::Anywhere, from_now(3653 * DAY), key)
    }

    /// An identity with a new key, valid for a year from now (and for the hour before, for clocks that are behind).
    ///
    /// Each name is a URI (`actor://cluster/node-1`), an IP address or a DNS name, all in ASCII; there has to be at
    /// least one. The first URI, else the first DNS name, is [who the node is](crate::Peer::identity) for others;
    /// without a [common server name](crate::TrustBuilder::server_name) the host that others dial has to be among
    /// the names.
    ///
    /// # Errors
    /// [`TrustError::Name`], [`TrustError::NoNames`] or [`TrustError::Issue`].
    pub fn issue<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<Identity, TrustError> {
        self.issue_during(from_now(365 * DAY), names)
    }

    /// An [identity](Self::issue) that is valid during another time, in whole seconds.
    ///
    /// # Errors
    /// [`TrustError::Validity`], or as of [`issue`](Self::issue).
    pub fn issue_during<N: AsRef<str>>(
        &self,
        validity: Range<SystemTime>,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Identity, TrustError> {
        let mut params = during(validity)?;
        params.subject_alt_names =
            names.into_iter().map(|name| parse(name.as_ref())).collect::<Result<_, _>>()?;
        if params.subject_alt_names.is_empty() {
            return Err(TrustError::NoNames);
        }
        params.distinguished_name = distinguished("actor node");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);

        // Of the authority's own kind.
        let key = KeyPair::generate_for(self.issuer.key().algorithm()).map_err(TrustError::issue)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(TrustError::issue)?;
        Identity::new(vec![certificate.into()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its certificate as PEM: what nodes need to believe it.
    pub fn certificate_pem(&self) -> String {
        identity::pem("CERTIFICATE", &self.certificate)
    }

    /// Its certificate and its private key as PEM, for [`from_pem`](Self::from_pem). Whoever has this text can be
    /// any node of the cluster: keep it away from the nodes.
    pub fn to_pem(&self) -> String {
        self.certificate_pem() + &identity::pem("PRIVATE KEY", self.issuer.key().serialized_der())
    }

    /// The authority that [`to_pem`](Self::to_pem) wrote.
    ///
    /// # Errors
    /// [`TrustError::Pem`], [`NoCertificate`](TrustError::NoCertificate), [`NoKey`](TrustError::NoKey),
    /// [`OtherKey`](TrustError::OtherKey), and [`NotOurAuthority`](TrustError::NotOurAuthority) for one that
    /// something else made.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, TrustError> {
        let pem = pem.as_ref();
        let certificate = identity::certificates(pem)?.swap_remove(0);
        let key = identity::private_key(pem)?;
        let key = KeyPair::try_from(&key).map_err(|_| TrustError::NotOurAuthority)?;

        let read = EndEntityCert::try_from(&certificate).map_err(TrustError::certificate)?;
        let name = der::common_name(read.subject()).ok_or(TrustError::NotOurAuthority)?.to_owned();
        // A certificate that we would make with this name and key shows what issued ones will say of their issuer.
        let params = authority(&name, Reach::Anywhere, CertificateParams::default())?;
        let ours: CertificateDer<'_> = params.self_signed(&key).map_err(TrustError::issue)?.into();
        let ours = EndEntityCert::try_from(&ours).map_err(TrustError::certificate)?;
        if ours.subject() != read.subject() {
            return Err(TrustError::NotOurAuthority);
        }
        if ours.subject_public_key_info() != read.subject_public_key_info() {
            return Err(TrustError::OtherKey);
        }
        Ok(Self { name, issuer: Issuer::new(params, key), certificate })
    }

    /// An authority, valid during a time, whose certificates nobody believes outside its reach.
    pub(super) fn generate(
        name: String,
        reach: Reach,
        validity: Range<SystemTime>,
    ) -> Result<Self, TrustError> {
        Self::of_key(name, reach, validity, KeyPair::generate().map_err(TrustError::issue)?)
    }

    fn of_key(
        name: String,
        reach: Reach,
        validity: Range<SystemTime>,
        key: KeyPair,
    ) -> Result<Self, TrustError> {
        let mut params = authority(&name, reach, during(validity)?)?;
        params.serial_number = Some(serial()?);
        let certificate = params.self_signed(&key).map_err(TrustError::issue)?.into();
        Ok(Self { name, certificate, issuer: Issuer::new(params, key) })
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

/// The name only.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which names an authority may issue certificates for. Its own certificate says so, and verifiers obey.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Anywhere,
    Loopback,
}

/// From an hour ago, for clocks that are behind.
pub(super) fn from_now(lifetime: Duration) -> Range<SystemTime> {
    let now = clock::calendar();
    now - DAY / 24..now + lifetime
}

fn authority(
    name: &str,
    reach: Reach,
    mut params: CertificateParams,
) -> Result<CertificateParams, TrustError> {
    if name.is_empty() || name.chars().count() > 64 {
        return Err(TrustError::AuthorityName { name: name.to_owned() });
    }
    params.distinguished_name = distinguished(name);
    // Issues identities, no other authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if reach == Reach::Loopback {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![
                GeneralSubtree::DnsName("localhost".to_owned()),
                GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
                GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                    std::net::Ipv6Addr::LOCALHOST.octets(),
                    128,
                )),
            ],
            excluded_subtrees: Vec::new(),
        });
    }
    Ok(params)
}

/// A serial number of 16 random bytes, none of them cut off by its encoding: neither the sign nor a leading zero.
fn serial() -> Result<SerialNumber, TrustError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| TrustError::issue(rcgen::Error::RingUnspecified))?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn during(validity: Range<SystemTime>) -> Result<CertificateParams, TrustError> {
    /// The last second of the year 9999; certificates cannot say more.
    const LAST: u64 = 253_402_300_799;
    let since_1970 = |time: SystemTime| {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        (seconds <= LAST).then(|| Duration::from_secs(seconds))
    };
    let (Some(from), Some(until)) = (since_1970(validity.start), since_1970(validity.end)) else {
        return Err(TrustError::Validity);
    };
    if from >= until {
        return Err(TrustError::Validity);
    }
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + from;
    params.not_after = epoch + until;
    Ok(params)
}

fn parse(name: &str) -> Result<SanType, TrustError> {
    let bad = || TrustError::Name { name: name.to_owned() };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    match name.split_once(':') {
        Some((scheme, rest)) => {
            let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
            let rest_fits = !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic());
            if !scheme_fits || !rest_fits {
                return Err(bad());
            }
            Ok(SanType::URI(name.try_into().map_err(|_| bad())?))
        }
        None => {
            // As verifiers have it: a `*` stands for one label, and at least two follow it.
            let bare = name.strip_prefix("*.").filter(|rest| rest.contains('.')).unwrap_or(name);
            DnsName::try_from(bare).ok().filter(|_| !bare.ends_with('.')).ok_or_else(bad)?;
            Ok(SanType::DnsName(name.try_into().map_err(|_| bad())?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uris_dns_names_or_addresses_and_nothing_else() {
        let authority = Authority::new("test").unwrap();
        let good =
            ["actor://cluster/node-1", "urn:node:1", "node-1.example", "*.c.example", "127.0.0.1", "::1"];
        assert_eq!(authority.issue(good).unwrap().names(), good);
        for bad in
            ["", "a b", "knoten-ü", "a\n", "1:2", "x:", "http://a b", "-", "[::1]", "*.example", "a.example."]
        {
            let refused = authority.issue([bad]).unwrap_err();
            assert_eq!(refused, TrustError::Name { name: bad.to_owned() });
        }
        assert_eq!(authority.issue([""; 0]).unwrap_err(), TrustError::NoNames);
    }

    #[test]
    fn names_come_uris_first_and_addresses_last() {
        let issued = Authority::new("test").unwrap().issue(["10.0.0.1", "a.example", "actor://c/a"]).unwrap();
        assert_eq!(issued.names(), ["actor://c/a", "a.example", "10.0.0.1"]);
    }

    #[test]
    fn an_authority_that_was_written_issues_as_before() {
        let authority = Authority::new("Büro 7").unwrap();
        let read = Authority::from_pem(authority.to_pem()).unwrap();
        assert_eq!(read.name(), "Büro 7");
        assert_eq!(read.to_pem(), authority.to_pem());
    }

    #[test]
    fn what_is_no_authority_of_ours_is_refused() {
        let [one, other] = ["one", "other"].map(|name| Authority::new(name).unwrap());
        let mixed =
            one.certificate_pem() + &identity::pem("PRIVATE KEY", other.issuer.key().serialized_der());
        assert_eq!(Authority::from_pem(mixed).unwrap_err(), TrustError::OtherKey);
        assert_eq!(Authority::from_pem(one.certificate_pem()).unwrap_err(), TrustError::NoKey);
        assert_eq!(Authority::from_pem("").unwrap_err(), TrustError::NoCertificate);

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "Others");
        let foreign = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        assert_eq!(Authority::from_pem(foreign).unwrap_err(), TrustError::NotOurAuthority);
    }

    #[test]
    fn an_authority_needs_a_name_that_fits() {
        for bad in [String::new(), "x".repeat(65)] {
            assert_eq!(Authority::new(&bad).unwrap_err(), TrustError::AuthorityName { name: bad });
        }
    }

    #[test]
    fn times_that_a_certificate_cannot_say_are_refused() {
        let authority = Authority::new("test").unwrap();
        let (epoch, now) = (SystemTime::UNIX_EPOCH, clock::calendar());
        for bad in [now..now, now..epoch, epoch - DAY..now, now..now + 4_000_000 * DAY] {
            assert_eq!(authority.issue_during(bad, ["a"]).unwrap_err(), TrustError::Validity);
        }
        assert!(authority.issue_during(epoch..now + 40_000 * DAY, ["a"]).is_ok());
    }

    #[test]
    fn the_key_is_never_printed() {
        let authority = Authority::new("test").unwrap();
        assert_eq!(format!("{authority:?}"), r#"Authority { name: "test", .. }"#);
    }
}
