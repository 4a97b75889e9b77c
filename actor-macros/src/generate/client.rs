//! `FooClient`: constructors, and a method that makes a call for each method of the trait.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::{local, request};
use crate::model::{Argument, Form, Method, Reply, Service};

/// `FooClient`.
pub(super) fn declaration(service: &Service) -> TokenStream {
    let (vis, client, private) = (&service.vis, &service.names.client, &service.paths.private);
    let summary = format!(
        " Calls actors that serve [`{}`]: each method of it is a method here.",
        service.names.contract
    );
    let docs = service.attributes.client();
    let paragraph = service.attributes.is_documented().then(|| quote!(#[doc = ""]));
    quote! {
        #[doc = #summary]
        #paragraph
        #docs
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #client {
            client: #private::Client,
        }
    }
}

/// Constructors, one method for each method of the trait, and what all clients have in common.
pub(super) fn implementation(service: &Service) -> TokenStream {
    let (vis, client, marker) = (&service.vis, &service.names.client, &service.names.service);
    let (root, private) = (&service.paths.root, &service.paths.private);
    let methods = service.methods.iter().map(|method| self::method(service, method));
    let (broadcast, broadcasts) = (local("Broadcast"), broadcasts(service));
    let (serializer, deserializer) = (local("serializer"), local("deserializer"));
    quote! {
        impl #client {
            /// A client of the actor called `name`, whose place `resolver` finds, on the current node.
            ///
            /// Of several places it calls the first that can be called, in the resolver's order, and the next one when
            /// that is away; a `pool` calls all of them.
            ///
            /// Where several nodes live in a process and the code is in the scope of none, its calls fail with
            /// `FailureKind::AmbiguousNode`; use `on` there.
            #vis fn new(
                resolver: &(impl #root::Resolver + ::core::clone::Clone),
                name: impl ::core::convert::Into<#private::String>,
            ) -> Self {
                Self { client: #private::Client::new(resolver, name) }
            }

            /// As `new`, on `node` instead of the current one.
            #vis fn on(
                node: &#root::Node,
                resolver: &(impl #root::Resolver + ::core::clone::Clone),
                name: impl ::core::convert::Into<#private::String>,
            ) -> Self {
                Self { client: #private::Client::on(node, resolver, name) }
            }

            /// The pool of all actors called `name`, as `resolver` finds them, called by the current node.
            #vis fn pool(
                resolver: &(impl #root::Resolver + ::core::clone::Clone),
                name: impl ::core::convert::Into<#private::String>,
            ) -> #root::ActorPool<Self> {
                #root::ActorPool::new(resolver, name)
            }

            /// A client of the same actor whose calls have `options`, unless they say otherwise themselves.
            #[must_use]
            #vis fn with_options(&self, options: #root::CallOptions) -> Self {
                Self { client: self.client.with_options(options) }
            }

            #(#methods)*
        }

        #[automatically_derived]
        impl #root::ServiceClient for #client {
            type Service = #marker;
            type Broadcast = #broadcast;

            fn broadcast(client: &#private::Client) -> #broadcast {
                #broadcast { broadcast: #private::Broadcast::of(client) }
            }

            fn from_client(client: #private::Client) -> Self {
                Self { client: client }
            }

            fn as_client(&self) -> &#private::Client {
                &self.client
            }
        }

        #broadcasts

        #[automatically_derived]
        impl #private::serde::Serialize for #client {
            fn serialize<__S: #private::serde::Serializer>(
                &self,
                #serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                #private::serialize_client(self, #serializer)
            }
        }

        #[automatically_derived]
        impl<'de> #private::serde::Deserialize<'de> for #client {
            fn deserialize<__D: #private::serde::Deserializer<'de>>(
                #deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                #private::deserialize_client(#deserializer)
            }
        }
    }
}

fn method(service: &Service, method: &Method) -> TokenStream {
    let (vis, marker) = (&service.vis, &service.names.service);
    let root = &service.paths.root;
    let Method { ident, constant, .. } = method;
    let attributes = method.attributes.client();
    let summary = (!method.attributes.is_documented()).then(|| {
        let text = format!(" Calls `{}::{}`.", service.names.contract, method.name);
        quote!(#[doc = #text])
    });
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.ident).collect();
    let private = &service.paths.private;
    let types = method.arguments.iter().map(|argument| match &argument.form {
        Form::Stream(item) => {
            quote!(impl #private::Stream<Item = #item> + ::core::marker::Send + 'static)
        }
        _ => argument.ty.to_token_stream(),
    });
    let output = match &method.reply {
        Reply::Value(ty) => quote!(::core::result::Result<#ty, #root::Failure>),
        Reply::Result { ok, err, .. } => quote!(::core::result::Result<#ok, #root::CallError<#err>>),
    };
    let (call, body) = if method.is_borrowed() {
        let out = local("out");
        let encode = request::encode_arguments(service, method, &out);
        match method.stream_argument() {
            Some(Argument { ident, ty, .. }) => {
                (quote!(call_streaming), quote!(|#out| #encode, <#ty>::new(#ident)))
            }
            None => (quote!(call_encoded), quote!(|#out| #encode)),
        }
    } else {
        (quote!(call), request::value(service, method))
    };
    let finish = finish(service, method);
    quote! {
        #attributes
        #summary
        #vis fn #ident(&self, #(#names: #types),*) -> #root::Call<#output> {
            self.client.#call::<#marker, _>(#marker::#constant, #body, #finish)
        }
    }
}

/// What calls all members of a pool: a method for each method of the trait that takes no stream.
fn broadcasts(service: &Service) -> TokenStream {
    let (broadcast, private) = (local("Broadcast"), &service.paths.private);
    let docs = format!(" Calls all members of a pool that serve [`{}`].", service.names.contract);
    let methods = service.methods.iter().filter(|method| method.stream_argument().is_none());
    let methods = methods.map(|method| broadcast_method(service, method));
    quote! {
        #[doc = #docs]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        pub struct #broadcast {
            broadcast: #private::Broadcast,
        }

        impl #broadcast {
            #(#methods)*
        }
    }
}

fn broadcast_method(service: &Service, method: &Method) -> TokenStream {
    let (marker, root) = (&service.names.service, &service.paths.root);
    let Method { ident, constant, .. } = method;
    let attributes = method.attributes.client();
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.ident).collect();
    let types = method.arguments.iter().map(|argument| &argument.ty);
    let output = match &method.reply {
        Reply::Value(ty) => quote!(#ty, #root::Failure),
        Reply::Result { ok, err, .. } => quote!(#ok, #root::CallError<#err>),
    };
    let (call, body) = if method.is_borrowed() {
        let out = local("out");
        let encode = request::encode_arguments(service, method, &out);
        (quote!(call_encoded), quote!(|#out| #encode))
    } else {
        (quote!(call), request::value(service, method))
    };
    let finish = finish(service, method);
    quote! {
        #attributes
        pub fn #ident(&self, #(#names: #types),*) -> #root::BroadcastFuture<#output> {
            self.broadcast.#call::<#marker, _, _>(#marker::#constant, #body, #finish)
        }
    }
}

/// From what the call ended with to what its caller sees.
fn finish(service: &Service, method: &Method) -> TokenStream {
    let (marker, response) = (&service.names.service, &service.names.response);
    let (root, private) = (&service.paths.root, &service.paths.private);
    let Method { variant, constant, .. } = method;
    let (call, value, error) = (local("call"), local("value"), local("error"));
    if method.flags.oneway {
        return quote!(#private::accepted);
    }
    let wrong = quote!(#private::wrong_reply(#marker::#constant));
    let arms = match &method.reply {
        Reply::Value(_) => quote! {
            ::core::result::Result::Ok(#response::#variant(#value)) => ::core::result::Result::Ok(#value),
            ::core::result::Result::Ok(_) => ::core::result::Result::Err(#wrong),
            ::core::result::Result::Err(#error) => ::core::result::Result::Err(#error),
        },
        Reply::Result { .. } => quote! {
            ::core::result::Result::Ok(#response::#variant(::core::result::Result::Ok(#value))) => {
                ::core::result::Result::Ok(#value)
            }
            ::core::result::Result::Ok(#response::#variant(::core::result::Result::Err(#error))) => {
                ::core::result::Result::Err(#root::CallError::Application(#error))
            }
            ::core::result::Result::Ok(_) => ::core::result::Result::Err(#root::CallError::Failed(#wrong)),
            ::core::result::Result::Err(#error) => ::core::result::Result::Err(#root::CallError::Failed(#error)),
        },
    };
    quote! {
        |#call| match #private::take::<#marker>(#call) {
            #arms
        }
    }
}
