//! The types of arguments and replies: which of them cannot travel, wherever in a type they stand.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Expr, GenericArgument, Path, PathArguments, ReturnType, Type, TypeImplTrait, TypeReference};

use crate::{
    model::{is_str, peel},
    refusals::Refusals,
    streams,
};

/// Checks the type of an argument.
pub(super) fn argument(ty: &Type, refusals: &mut Refusals) {
    let walk = &mut Walk { place: Place::Argument, refusals };
    match (peel(ty), streams::argument(ty)) {
        (_, Some(item)) => walk.walk(item),
        (Type::Reference(reference), _) => walk.borrowed(reference),
        (ty, _) => walk.whole(ty),
    }
}

/// Checks the type of a reply.
pub(super) fn reply(ty: &Type, refusals: &mut Refusals) {
    let walk = &mut Walk { place: Place::Reply, refusals };
    match streams::in_reply(ty) {
        Some(stream) => walk.stream(ty, stream),
        None => walk.whole(peel(ty)),
    }
}

/// Whether a method returns `impl Stream<…>` or `Result<impl Stream<…>, E>`.
pub(super) fn returns_stream(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, ty) if streams::in_reply(ty).is_some())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Argument,
    Reply,
}

/// A walk through all the types that a type consists of.
struct Walk<'a> {
    place: Place,
    refusals: &'a mut Refusals,
}

impl Walk<'_> {
    /// A reply that is a stream, or a `Result` of one.
    fn stream(&mut self, reply: &Type, stream: &TypeImplTrait) {
        match streams::item(stream) {
            Some(item) => self.walk(item),
            None => self
                .refusals
                .refuse(stream, "the items of a stream have one type; write `impl Stream<Item = T>`"),
        }
        let Type::Path(path) = peel(reply) else { return };
        if let Some(PathArguments::AngleBracketed(arguments)) =
            path.path.segments.last().map(|last| &last.arguments)
        {
            arguments.args.iter().skip(1).for_each(|argument| self.generic(argument));
        }
    }

    /// An argument or reply that is not a reference.
    fn whole(&mut self, ty: &Type) {
        match ty {
            Type::Slice(slice) => {
                let instead = if self.place == Place::Argument { "`Vec<T>` or `&[T]`" } else { "`Vec<T>`" };
                self.refusals.refuse(slice, format_args!("a slice has no size of its own; write {instead}"));
                self.walk(&slice.elem);
            }
            ty if is_str(ty) => {
                let instead = if self.place == Place::Argument { "`String` or `&str`" } else { "`String`" };
                self.refusals.refuse(ty, format_args!("`str` has no size of its own; write {instead}"));
            }
            ty => self.walk(ty),
        }
    }

    /// An argument that is a reference.
    fn borrowed(&mut self, reference: &TypeReference) {
        if let Some(lifetime) = &reference.lifetime {
            self.lifetime(lifetime);
        }
        if reference.mutability.is_some() {
            self.refusals.refuse(
                reference,
                "an argument is sent to the actor and cannot be changed there; take `T` or `&T`, and return what changed",
            );
        }
        match peel(&reference.elem) {
            Type::Slice(slice) => self.walk(&slice.elem),
            referent => self.walk(referent),
        }
    }

    fn walk(&mut self, ty: &Type) {
        match ty {
            Type::Group(ty) => self.walk(&ty.elem),
            Type::Paren(ty) => self.walk(&ty.elem),
            Type::Slice(ty) => self.walk(&ty.elem),
            Type::Tuple(ty) => ty.elems.iter().for_each(|ty| self.walk(ty)),
            Type::Array(ty) => {
                self.walk(&ty.elem);
                self.length(&ty.len);
            }
            Type::Path(ty) => {
                if let Some(qself) = &ty.qself {
                    self.walk(&qself.ty);
                }
                self.path(&ty.path);
            }
            Type::Reference(ty) => self.reference(ty),
            other => self.refuse(other),
        }
    }

    fn path(&mut self, path: &Path) {
        for segment in &path.segments {
            if segment.ident == "Self" {
                self.actor(&segment.ident);
            }
            if segment.ident == "Streaming" {
                self.refusals.refuse(
                    segment,
                    match self.place {
                        Place::Argument => "a stream is a whole argument, not a part of one; write `items: Streaming<T>`",
                        Place::Reply => {
                            "a stream is a whole reply, or the `Ok` of one; write `impl Stream<Item = T>` or `Result<impl Stream<Item = T>, E>`"
                        }
                    },
                );
            }
            match &segment.arguments {
                PathArguments::None => {}
                PathArguments::AngleBracketed(arguments) => {
                    arguments.args.iter().for_each(|argument| self.generic(argument));
                }
                PathArguments::Parenthesized(arguments) => {
                    arguments.inputs.iter().for_each(|input| self.walk(&input.ty));
                    if let ReturnType::Type(_, ty) = &arguments.output {
                        self.walk(ty);
                    }
                }
            }
        }
    }

    fn generic(&mut self, argument: &GenericArgument) {
        match argument {
            // `Cow<'static, str>` and its like own what they hold, or hold what is always there.
            GenericArgument::Lifetime(lifetime) if lifetime.ident == "static" => {}
            GenericArgument::Lifetime(lifetime) => self.lifetime(lifetime),
            GenericArgument::Type(ty) => self.walk(ty),
            GenericArgument::AssocType(ty) => self.walk(&ty.ty),
            GenericArgument::Const(value) => self.length(value),
            _ => {}
        }
    }

    fn lifetime(&mut self, lifetime: &syn::Lifetime) {
        self.refusals.refuse(
            lifetime,
            match self.place {
                Place::Argument => {
                    "an argument has no lifetimes: what arrives is owned by the call; write `&str`, `&[T]`, `&T`, or an owned type"
                }
                Place::Reply => "a reply cannot borrow: it is sent to the caller; return an owned type, such as `String`",
            },
        );
    }

    fn reference(&mut self, reference: &TypeReference) {
        let text = match self.place {
            Place::Argument => {
                "only a whole argument can be borrowed, not a part of it; write an owned type here, such as `String` or `Vec<T>`"
            }
            Place::Reply => {
                "a reply cannot borrow: it is sent to the caller; return an owned type, such as `String`"
            }
        };
        self.refusals.refuse(reference, text);
    }

    /// The types that no value travels as.
    fn refuse(&mut self, ty: &Type) {
        let text = match (ty, self.place) {
            (Type::ImplTrait(ty), place) if streams::is_stream(ty) => match place {
                Place::Argument => {
                    "the handler has to see that its caller broke off: what it reads are `Result<T, Failure>`; write `Streaming<T>`, for which callers pass any `impl Stream<Item = T>`"
                }
                Place::Reply => {
                    "a stream is a whole reply, or the `Ok` of one; write `impl Stream<Item = T>` or `Result<impl Stream<Item = T>, E>`"
                }
            },
            (Type::ImplTrait(_), Place::Argument) => {
                "an argument has one concrete type, which is a part of the service's description; write it instead of `impl …`"
            }
            (Type::ImplTrait(_), Place::Reply) => {
                "a reply has one concrete type, which is a part of the service's description; write it instead of `impl …`"
            }
            (Type::TraitObject(_), _) => {
                "a trait object cannot be sent: the other side does not know its type; write a concrete type, or an enum of the possible ones"
            }
            (Type::FnPtr(_), _) => {
                "a function pointer means nothing in another process; send data that says what to do, such as an enum"
            }
            (Type::Ptr(_), _) => "a raw pointer means nothing in another process; send the value",
            (Type::Infer(_), _) => {
                "the type is a part of the service's description and cannot be inferred; write it"
            }
            (Type::Macro(_), _) => "a macro cannot be seen through here; write the type that it stands for",
            (Type::Never(_), Place::Argument) => "no caller has a value of type `!`; remove the argument",
            (Type::Never(_), Place::Reply) => {
                "a call ends with a reply; write no type, or the type that is returned"
            }
            _ => "this type is not understood here; give it a name with `type Name = …;` and write the name",
        };
        self.refusals.refuse(ty, text);
    }

    fn actor(&mut self, ident: &Ident) {
        self.refusals.refuse(
            ident,
            "`Self` is the actor, which stays where it runs; write the concrete type of what is sent",
        );
    }

    /// The length of an array or another constant, which cannot depend on the actor either.
    fn length(&mut self, length: &Expr) {
        self.tokens(length.to_token_stream());
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if ident == "Self" => self.actor(&ident),
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
        }
    }
}
