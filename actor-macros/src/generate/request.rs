//! `FooRequest`: calls as values, and their way to bytes and back.
//!
//! A client with borrowed arguments encodes them in place, by the same functions of the encoder that write the same
//! bytes for the owned ones; so there is no borrowed twin of the request.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::local;
use crate::model::{Argument, Form, Method, Service};

/// `FooRequest`: the owned arguments of each method.
pub(super) fn declaration(service: &Service) -> TokenStream {
    let (vis, request) = (&service.vis, &service.names.request);
    let docs = format!(" The calls of [`{}`] as values.", service.names.contract);
    let variants = service.methods.iter().map(|method| {
        let (attributes, variant) = (method.attributes.variant(), &method.variant);
        let summary = summary(service, method);
        let fields = method.arguments.iter().map(|argument| {
            let (ident, owned) = (&argument.ident, argument.owned(&service.paths));
            let docs = format!(" The argument `{}`.", argument.name);
            quote!(#[doc = #docs] #ident: #owned)
        });
        quote! {
            #attributes
            #summary
            #variant { #(#fields),* },
        }
    });
    quote! {
        #[doc = #docs]
        #vis enum #request {
            #(#variants)*
        }
    }
}

/// A method's documentation where it has none of its own.
pub(super) fn summary(service: &Service, method: &Method) -> Option<TokenStream> {
    let text = format!(" Of `{}::{}`.", service.names.contract, method.name);
    (!method.attributes.is_documented()).then(|| quote!(#[doc = #text]))
}

/// A request, from arguments in scope.
pub(super) fn value(service: &Service, method: &Method) -> TokenStream {
    let (request, variant) = (&service.names.request, &method.variant);
    let names = method.arguments.iter().map(|argument| &argument.ident);
    quote!(#request::#variant { #(#names),* })
}

/// Writes arguments in scope, by value or by reference as the trait has them, into the encoder `out`.
pub(super) fn encode_arguments(service: &Service, method: &Method, out: &Ident) -> TokenStream {
    let message = &service.paths.message;
    let arguments = method.arguments.iter().map(|argument| {
        let Argument { ident, name, ty, form } = argument;
        match form {
            Form::Value => quote!(<#ty as #message>::encode(&#ident, #out, #name)?;),
            // It comes behind.
            Form::Stream(_) => TokenStream::new(),
            Form::Str => quote!(#out.unsized_argument(#name, #ident)?;),
            Form::Slice(element) => quote!(<#element as #message>::encode_slice(#ident, #out, #name)?;),
            Form::Reference(ty) => quote!(<#ty as #message>::encode(#ident, #out, #name)?;),
        }
    });
    quote! {{
        #(#arguments)*
        ::core::result::Result::Ok(())
    }}
}

/// Requests to bytes and back.
pub(super) fn implementation(service: &Service) -> TokenStream {
    let (request, marker) = (&service.names.request, &service.names.service);
    let (rt, codec) = (&service.paths.service, &service.paths.codec);
    let (out, id, body, decoder, value) =
        (local("out"), local("id"), local("body"), local("decoder"), local("value"));
    let methods = service.methods.iter().map(|method| {
        let (cfg, variant, constant) = (method.attributes.cfg(), &method.variant, &method.constant);
        quote!(#cfg Self::#variant { .. } => #marker::#constant,)
    });
    let encoders = service.methods.iter().map(|method| {
        let (cfg, variant) = (method.attributes.cfg(), &method.variant);
        let names = method.arguments.iter().map(|argument| &argument.ident);
        let encode = encode_owned(service, method, &out);
        quote!(#cfg Self::#variant { #(ref #names),* } => #encode)
    });
    let decoders = service.methods.iter().map(|method| {
        let (cfg, variant, id) = (method.attributes.cfg(), &method.variant, &method.id_constant);
        let fields = method.arguments.iter().map(|argument| {
            let (ident, name) = (&argument.ident, &argument.name);
            let decode = argument.message(&service.paths, "decode");
            quote!(#ident: #decode(&mut #decoder, #name)?)
        });
        quote!(#cfg #marker::#id => Self::#variant { #(#fields),* },)
    });
    // A match on the place and not on a reference to it is exhaustive without arms, if no method is left.
    quote! {
        #[automatically_derived]
        impl #rt::Request for #request {
            fn method(&self) -> &'static #rt::Method {
                match *self {
                    #(#methods)*
                }
            }

            fn encode(&self, #out: &mut #codec::Encoder) -> ::core::result::Result<(), #codec::CodecError> {
                match *self {
                    #(#encoders)*
                }
            }

            fn decode(
                #id: u32,
                #body: impl ::core::convert::Into<#codec::Decoder>,
            ) -> ::core::result::Result<Self, #codec::CodecError> {
                let mut #decoder: #codec::Decoder = ::core::convert::Into::into(#body);
                let #value: Self = match #id {
                    #(#decoders)*
                    #id => return ::core::result::Result::Err(#codec::CodecError::UnknownMethod { id: #id }),
                };
                #decoder.finish()?;
                ::core::result::Result::Ok(#value)
            }
        }
    }
}

/// As [`encode_arguments`], where the arguments are references to their owned types.
fn encode_owned(service: &Service, method: &Method, out: &Ident) -> TokenStream {
    let message = &service.paths.message;
    let arguments = method.arguments.iter().map(|argument| {
        let Argument { ident, name, ty, form } = argument;
        match form {
            Form::Str => quote!(#out.unsized_argument(#name, &**#ident)?;),
            Form::Slice(element) => quote!(<#element as #message>::encode_vec(#ident, #out, #name)?;),
            Form::Value | Form::Stream(_) => quote!(<#ty as #message>::encode(#ident, #out, #name)?;),
            Form::Reference(ty) => quote!(<#ty as #message>::encode(#ident, #out, #name)?;),
        }
    });
    quote! {{
        #(#arguments)*
        ::core::result::Result::Ok(())
    }}
}
