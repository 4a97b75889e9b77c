//! `FooService`: the service as a type, and the descriptions of its methods.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Access, Flags, Id, Method, Paths, Reply, Service, Timeout};

/// `FooService`, which has no values: it only stands for the service in types.
pub(super) fn declaration(service: &Service) -> TokenStream {
    let (vis, marker) = (&service.vis, &service.names.service);
    let docs = format!(" The service that [`{}`] declares, as a type.", service.names.contract);
    quote! {
        #[doc = #docs]
        #vis enum #marker {}
    }
}

/// The description of each method, and of the whole.
pub(super) fn implementation(service: &Service) -> TokenStream {
    let crate::model::Names { service: marker, request, response, .. } = &service.names;
    let rt = &service.paths.service;
    let (name, docs) = (&service.name, service.attributes.docs());
    let constants = service.methods.iter().map(|method| constants(service, method));
    let methods = service.methods.iter().map(|method| {
        let (cfg, constant) = (method.attributes.cfg(), &method.constant);
        quote!(#cfg Self::#constant)
    });
    let collision = format!(
        "two methods of `{}` have the same id on the wire; give one of them another with `#[id = …]`",
        service.names.contract
    );
    quote! {
        impl #marker {
            #(#constants)*
        }

        #[automatically_derived]
        impl #rt::Service for #marker {
            const NAME: &'static str = #name;
            const METHODS: &'static [&'static #rt::Method] = &[#(#methods),*];
            const DOCS: &'static str = #docs;
            type Request = #request;
            type Response = #response;
        }

        const _: () = ::core::assert!(#rt::unique_ids(&[<#marker as #rt::Service>::METHODS]), #collision);
    }
}

fn constants(service: &Service, method: &Method) -> TokenStream {
    let (rt, marker, service_name) = (&service.paths.service, &service.names.service, &service.name);
    let Method { name, constant, id_constant, signature, .. } = method;
    let cfg = method.attributes.cfg();
    let id = match method.id {
        Id::Explicit(id, _) => quote!(#id),
        Id::Hashed(_) => quote!(#rt::method_id(#service_name, #name)),
    };
    let access = match method.access {
        Access::Shared => quote!(#rt::Access::Shared),
        Access::Exclusive => quote!(#rt::Access::Exclusive),
    };
    let arguments = method.arguments.iter().map(|argument| {
        let (name, ty) = (&argument.name, crate::text::of(&argument.ty));
        let schema = argument.message(&service.paths, "schema");
        quote!(#rt::Argument::new(#name, #ty, #schema))
    });
    let reply = reply(method, &service.paths);
    let docs = method.attributes.is_documented().then(|| {
        let docs = method.attributes.docs();
        quote!(.with_docs(#docs))
    });
    let deprecated = method.attributes.is_deprecated().then(|| quote!(.with_deprecated()));
    let timeout = timeout(method, &service.paths);
    let flags = flags(method.flags);
    let later = method.later.then(|| quote!(.with_later()));
    // The static has a name that no constant in the length of an array has.
    quote! {
        #cfg
        const #id_constant: u32 = #id;

        #cfg
        const #constant: &'static #rt::Method = {
            static __METHOD: #rt::Method = #rt::Method::new(
                #service_name,
                #name,
                #marker::#id_constant,
                #access,
                &[#(#arguments),*],
                #reply,
            )
            .with_signature(#signature)
            #docs
            #deprecated
            #timeout
            #flags
            #later;
            &__METHOD
        };
    }
}

fn reply(method: &Method, Paths { service: rt, message, .. }: &Paths) -> TokenStream {
    let text = &method.written;
    match &method.reply {
        Reply::Value(ty) => quote!(#rt::Reply::value(#text, <#ty as #message>::schema)),
        Reply::Result { ok, err, .. } => {
            quote!(#rt::Reply::result(#text, <#ok as #message>::schema, <#err as #message>::schema))
        }
    }
}

fn flags(flags: Flags) -> TokenStream {
    let Flags { idempotent, dedup, oneway, cancel_safe } = flags;
    let idempotent = idempotent.then(|| quote!(.with_idempotent()));
    let dedup = dedup.then(|| quote!(.with_dedup()));
    let oneway = oneway.then(|| quote!(.with_oneway()));
    let cancel_safe = cancel_safe.then(|| quote!(.with_cancel_safe()));
    quote!(#idempotent #dedup #oneway #cancel_safe)
}

fn timeout(method: &Method, Paths { service: rt, .. }: &Paths) -> Option<TokenStream> {
    match method.timeout {
        Timeout::Default => None,
        Timeout::Millis(millis) => Some(quote! {
            .with_timeout(#rt::MethodTimeout::After(::core::time::Duration::from_millis(#millis)))
        }),
        Timeout::Never => Some(quote!(.with_timeout(#rt::MethodTimeout::Never))),
    }
}
