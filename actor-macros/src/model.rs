//! A service as the generators see it: names chosen, types classified, attributes sorted.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Type, Visibility};

use crate::{attributes::Attributes, naming};

/// A trait that is a service.
pub(crate) struct Service {
    pub(crate) paths: Paths,
    pub(crate) vis: Visibility,
    pub(crate) names: Names,
    /// What names the service on the wire.
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    pub(crate) methods: Vec<Method>,
}

impl Service {
    pub(crate) fn has(&self, access: Access) -> bool {
        self.methods.iter().any(|method| method.access == access)
    }
}

/// The paths into the runtime.
pub(crate) struct Paths {
    /// `::actor_runtime`, or what `crate = path` says.
    pub(crate) root: TokenStream,
    pub(crate) service: TokenStream,
    pub(crate) codec: TokenStream,
    pub(crate) private: TokenStream,
    /// The trait of everything that is sent.
    pub(crate) message: TokenStream,
}

impl Paths {
    pub(crate) fn new(root: Option<&syn::Path>) -> Self {
        let root = root.map_or_else(|| quote!(::actor_runtime), ToTokens::to_token_stream);
        Self {
            service: quote!(#root::service),
            codec: quote!(#root::codec),
            private: quote!(#root::__private),
            message: quote!(#root::__private::Message),
            root,
        }
    }
}

/// The items that the user sees, each at the place of the trait's name.
pub(crate) struct Names {
    /// The trait.
    pub(crate) contract: Ident,
    pub(crate) client: Ident,
    pub(crate) service: Ident,
    pub(crate) request: Ident,
    pub(crate) response: Ident,
}

impl Names {
    pub(crate) fn new(contract: &Ident) -> Self {
        let name = naming::plain(contract);
        let named = |suffix: &str| format_ident!("{name}{suffix}", span = contract.span());
        Self {
            client: named("Client"),
            service: named("Service"),
            request: named("Request"),
            response: named("Response"),
            contract: contract.clone(),
        }
    }
}

/// A method of the service.
pub(crate) struct Method {
    /// As in the trait, with its span.
    pub(crate) ident: Ident,
    /// Without `r#`.
    pub(crate) name: String,
    /// The variant of `FooRequest` and `FooResponse`.
    pub(crate) variant: Ident,
    /// The hidden constant with the method's description.
    pub(crate) constant: Ident,
    /// The hidden constant with the method's id, for patterns.
    pub(crate) id_constant: Ident,
    pub(crate) id: Id,
    pub(crate) access: Access,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) reply: Reply,
    /// Whether the last argument is a `ReplyTo` of the reply, and the method returns nothing.
    pub(crate) later: bool,
    /// Whether the reply is a stream, or a `Result` of one.
    pub(crate) is_stream: bool,
    /// Whether the method is an `async fn`: one that returns a stream need not be.
    pub(crate) is_async: bool,
    /// The reply as written.
    pub(crate) written: String,
    pub(crate) attributes: Attributes,
    pub(crate) timeout: Timeout,
    pub(crate) flags: Flags,
    /// The signature as written.
    pub(crate) signature: String,
}

impl Method {
    /// What the trait's method returns, as written.
    pub(crate) fn output(&self) -> TokenStream {
        if self.later { quote!(()) } else { self.reply.ty().clone() }
    }

    /// Whether the call has to be encoded before the method of the client returns.
    pub(crate) fn is_borrowed(&self) -> bool {
        self.arguments.iter().any(|argument| !matches!(argument.form, Form::Value))
    }

    /// The argument that is a stream, if one is.
    pub(crate) fn stream_argument(&self) -> Option<&Argument> {
        self.arguments.iter().find(|argument| matches!(argument.form, Form::Stream(_)))
    }
}

/// What names a method on the wire.
pub(crate) enum Id {
    /// The hash of `Service/method`.
    Hashed(u32),
    /// `#[id = n]`, with the place of `n`.
    Explicit(u32, Literal),
}

impl Id {
    pub(crate) fn value(&self) -> u32 {
        let (Self::Hashed(id) | Self::Explicit(id, _)) = self;
        *id
    }
}

/// How a method uses its actor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// `&self`.
    Shared,
    /// `&mut self`.
    Exclusive,
}

/// The attributes without a value.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) idempotent: bool,
    pub(crate) dedup: bool,
    pub(crate) oneway: bool,
    pub(crate) cancel_safe: bool,
}

/// `#[timeout = "…"]`.
pub(crate) enum Timeout {
    Default,
    Millis(u64),
    Never,
}

/// An argument of a method.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    /// Without `r#`.
    pub(crate) name: String,
    /// As written.
    pub(crate) ty: Type,
    pub(crate) form: Form,
}

impl Argument {
    /// The type that the receiving side decodes.
    pub(crate) fn owned(&self, paths: &Paths) -> TokenStream {
        let private = &paths.private;
        match &self.form {
            Form::Value | Form::Stream(_) => self.ty.to_token_stream(),
            Form::Str => quote!(#private::String),
            Form::Slice(element) => quote!(#private::Vec<#element>),
            Form::Reference(referent) => referent.to_token_stream(),
        }
    }

    /// The function of the owned type, `decode` or `schema`. It is reached through the type as written, so that a type
    /// that cannot be sent is reported there, and all reports are the same one.
    pub(crate) fn message(&self, paths: &Paths, function: &str) -> TokenStream {
        let (private, message) = (&paths.private, &paths.message);
        let of_vec = format_ident!("{function}_vec");
        let function = format_ident!("{function}");
        match &self.form {
            Form::Value | Form::Stream(_) => {
                let ty = &self.ty;
                quote!(<#ty as #message>::#function)
            }
            Form::Str => quote!(<#private::String as #message>::#function),
            Form::Slice(element) => quote!(<#element as #message>::#of_vec),
            Form::Reference(referent) => quote!(<#referent as #message>::#function),
        }
    }
}

/// How an argument is passed, and so what its owned type is.
pub(crate) enum Form {
    /// `T`.
    Value,
    /// `&str`.
    Str,
    /// `&[T]`.
    Slice(Type),
    /// `&T`.
    Reference(Type),
    /// `Streaming<T>`.
    Stream(Type),
}

impl Form {
    pub(crate) fn of(ty: &Type) -> Self {
        if let Some(item) = crate::streams::argument(ty) {
            return Self::Stream(item.clone());
        }
        let Type::Reference(reference) = peel(ty) else { return Self::Value };
        match peel(&reference.elem) {
            Type::Slice(slice) => Self::Slice((*slice.elem).clone()),
            referent if is_str(referent) => Self::Str,
            _ => Self::Reference((*reference.elem).clone()),
        }
    }
}

/// What a method returns.
pub(crate) enum Reply {
    Value(TokenStream),
    Result {
        /// As written.
        ty: TokenStream,
        ok: TokenStream,
        err: TokenStream,
    },
}

impl Reply {
    pub(crate) fn of(ty: &Type, paths: &Paths) -> Self {
        let Some(result) = result_segment(ty) else { return Self::Value(ty.to_token_stream()) };
        let types = type_arguments(result);
        let (ok, err) = match types[..] {
            [ok, err] => (ok.to_token_stream(), err.to_token_stream()),
            // An alias that fixes one of them, or both: only the compiler knows.
            _ => {
                let private = &paths.private;
                (quote!(<#ty as #private::ResultType>::Ok), quote!(<#ty as #private::ResultType>::Err))
            }
        };
        Self::Result { ty: ty.to_token_stream(), ok, err }
    }

    /// As written.
    pub(crate) fn ty(&self) -> &TokenStream {
        let (Self::Value(ty) | Self::Result { ty, .. }) = self;
        ty
    }
}

/// The type without the parentheses and invisible groups around it.
pub(crate) fn peel(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return ty,
        }
    }
}

/// Whether this is `str`.
pub(crate) fn is_str(ty: &Type) -> bool {
    matches!(peel(ty), Type::Path(path) if path.qself.is_none()
        && path.path.segments.last().is_some_and(|last| last.ident == "str" && last.arguments.is_none()))
}

/// The last segment of the type's path if it is called `Result`.
fn result_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match peel(ty) {
        Type::Path(path) => path.path.segments.last().filter(|last| last.ident == "Result"),
        _ => None,
    }
}

fn type_arguments(segment: &syn::PathSegment) -> Vec<&Type> {
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}
