//! `Serve`: how a request that has arrived becomes a turn on an actor.

use proc_macro2::TokenStream;
use quote::quote;

use super::local;
use crate::model::{Access, Form, Method, Reply, Service};

/// `Serve`: a request becomes a turn on an actor.
pub(super) fn expand(service: &Service) -> TokenStream {
    let crate::model::Names { contract, service: marker, request, response, .. } = &service.names;
    let rt = &service.paths.service;
    let (actor, call) = (local("actor"), local("request"));
    let output = quote! {
        impl ::core::future::Future<Output = ::core::option::Option<#response>> + ::core::marker::Send + 'a
    };
    // An actor that has no `&self` methods need not be `Sync`, so that nothing may ask for a `&A` of it.
    let borrow = service.has(Access::Shared).then(|| quote!(let #actor = #actor.get();));
    let shared = turns(service, Access::Shared);
    let exclusive = turns(service, Access::Exclusive);
    quote! {
        #[automatically_derived]
        impl<__Actor: #contract> #rt::Serve<__Actor> for #marker {
            fn shared<'a>(#actor: #rt::SharedRef<'a, __Actor>, #call: #request) -> #output
            where
                __Actor: 'a,
            {
                async move {
                    #borrow
                    #shared
                }
            }

            fn exclusive<'a>(#actor: &'a mut __Actor, #call: #request) -> #output
            where
                __Actor: 'a,
            {
                async move {
                    #exclusive
                }
            }
        }
    }
}

fn turns(service: &Service, access: Access) -> TokenStream {
    let crate::model::Names { contract, request, response, .. } = &service.names;
    let root = &service.paths.root;
    let (actor, call, stream) = (local("actor"), local("request"), local("stream"));
    let arms = service.methods.iter().filter(|method| method.access == access).map(|method| {
        let (cfg, variant, ident) = (method.attributes.cfg(), &method.variant, &method.ident);
        let names = method.arguments.iter().map(|argument| &argument.ident);
        let passed = method.arguments.iter().map(|argument| {
            let ident = &argument.ident;
            match argument.form {
                Form::Value | Form::Stream(_) => quote!(#ident),
                Form::Str | Form::Slice(_) | Form::Reference(_) => quote!(&#ident),
            }
        });
        if method.later {
            let answer = answer(service, method);
            return quote! {
                #cfg
                #request::#variant { #(#names),* } => {
                    <__Actor as #contract>::#ident(#actor, #(#passed,)* #answer).await;
                    ::core::option::Option::None
                }
            };
        }
        let awaited = method.is_async.then(|| quote!(.await));
        let reply = quote!(<__Actor as #contract>::#ident(#actor, #(#passed),*)#awaited);
        let reply = match (&method.reply, method.is_stream) {
            (_, false) => reply,
            (Reply::Value(_), true) => quote!(#root::Streaming::new(#reply)),
            (Reply::Result { .. }, true) => {
                quote!(::core::result::Result::map(#reply, |#stream| #root::Streaming::new(#stream)))
            }
        };
        quote! {
            #cfg
            #request::#variant { #(#names),* } => ::core::option::Option::Some(#response::#variant(#reply)),
        }
    });
    quote! {
        match #call {
            #(#arms)*
            _ => ::core::option::Option::None,
        }
    }
}

/// The `ReplyTo` of a method that answers later.
fn answer(service: &Service, method: &Method) -> TokenStream {
    let crate::model::Names { service: marker, response, .. } = &service.names;
    let (private, variant) = (&service.paths.private, &method.variant);
    let (call, value, limit) = (local("call"), local("value"), local("limit"));
    quote! {
        #private::reply_to(|#call, #value, #limit| {
            #private::answer::<#marker>(#call, #response::#variant(#value), #limit)
        })
    }
}
