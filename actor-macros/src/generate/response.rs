//! `FooResponse`: replies as values, and their way to bytes and back.

use proc_macro2::TokenStream;
use quote::quote;

use super::{local, request::summary};
use crate::model::{Reply, Service};

/// `FooResponse`: the reply of each method.
pub(super) fn declaration(service: &Service) -> TokenStream {
    let (vis, response) = (&service.vis, &service.names.response);
    let docs = format!(" The replies of [`{}`] as values.", service.names.contract);
    let variants = service.methods.iter().map(|method| {
        let (attributes, variant, ty) = (method.attributes.variant(), &method.variant, method.reply.ty());
        let summary = summary(service, method);
        quote! {
            #attributes
            #summary
            #variant(#ty),
        }
    });
    quote! {
        #[doc = #docs]
        #vis enum #response {
            #(#variants)*
        }
    }
}

/// Replies to bytes and back. An application error travels without the `Err` around it, which the status stands for.
pub(super) fn implementation(service: &Service) -> TokenStream {
    let (response, marker) = (&service.names.response, &service.names.service);
    let (rt, codec, private) = (&service.paths.service, &service.paths.codec, &service.paths.private);
    let (out, id, status, body) = (local("out"), local("id"), local("status"), local("body"));
    let (decoder, value) = (local("decoder"), local("value"));
    let message = &service.paths.message;
    let (ok, err) = (quote!(::core::result::Result::Ok), quote!(::core::result::Result::Err));
    let some = quote!(::core::option::Option::Some);
    let (mut statuses, mut encoders, mut decoders) = (Vec::new(), Vec::new(), Vec::new());
    for method in &service.methods {
        let (cfg, variant, method_id) = (method.attributes.cfg(), &method.variant, &method.id_constant);
        match &method.reply {
            Reply::Value(ty) => {
                let (encode, decode) = (quote!(<#ty as #message>::encode), quote!(<#ty as #message>::decode));
                encoders.push(quote!(#cfg Self::#variant(ref #value) => #encode(#value, #out, "reply"),));
                decoders.push(quote! {
                    #cfg (#marker::#method_id, #rt::Status::Replied) => {
                        Self::#variant(#decode(&mut #decoder, "reply")?)
                    }
                    #cfg (#marker::#method_id, #rt::Status::ApplicationError) => {
                        return #err(#codec::CodecError::UnexpectedError { id: #id });
                    }
                });
            }
            Reply::Result { ok: reply, err: error, .. } => {
                let (encode, decode) =
                    (quote!(<#reply as #message>::encode), quote!(<#reply as #message>::decode));
                let (encode_error, decode_error) =
                    (quote!(<#error as #message>::encode), quote!(<#error as #message>::decode));
                statuses.push(quote!(#cfg Self::#variant(#err(_)) => #rt::Status::ApplicationError,));
                encoders.push(quote! {
                    #cfg Self::#variant(#ok(ref #value)) => #encode(#value, #out, "reply"),
                    #cfg Self::#variant(#err(ref #value)) => #encode_error(#value, #out, "reply"),
                });
                decoders.push(quote! {
                    #cfg (#marker::#method_id, #rt::Status::Replied) => {
                        Self::#variant(#ok(#decode(&mut #decoder, "reply")?))
                    }
                    #cfg (#marker::#method_id, #rt::Status::ApplicationError) => {
                        Self::#variant(#err(#decode_error(&mut #decoder, "reply")?))
                    }
                });
            }
        }
    }
    let streams = service.methods.iter().filter(|method| method.is_stream).map(|method| {
        let (cfg, variant) = (method.attributes.cfg(), &method.variant);
        match &method.reply {
            Reply::Value(_) => quote!(#cfg Self::#variant(ref mut #value) => #some(#value),),
            Reply::Result { .. } => quote!(#cfg Self::#variant(#ok(ref mut #value)) => #some(#value),),
        }
    });
    let streams: Vec<_> = streams.collect();
    let stream = (!streams.is_empty()).then(|| {
        quote! {
            fn stream(&mut self) -> ::core::option::Option<&mut dyn #private::AnyStreaming> {
                match *self {
                    #(#streams)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #rt::Response for #response {
            fn status(&self) -> #rt::Status {
                match *self {
                    #(#statuses)*
                    _ => #rt::Status::Replied,
                }
            }

            fn encode(&self, #out: &mut #codec::Encoder) -> ::core::result::Result<(), #codec::CodecError> {
                match *self {
                    #(#encoders)*
                }
            }

            fn decode(
                #id: u32,
                #status: #rt::Status,
                #body: impl ::core::convert::Into<#codec::Decoder>,
            ) -> ::core::result::Result<Self, #codec::CodecError> {
                let mut #decoder: #codec::Decoder = ::core::convert::Into::into(#body);
                let #value: Self = match (#id, #status) {
                    #(#decoders)*
                    _ => return #err(#codec::CodecError::UnknownMethod { id: #id }),
                };
                #decoder.finish()?;
                #ok(#value)
            }

            #stream
        }
    }
}
