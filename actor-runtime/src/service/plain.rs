use std::marker::PhantomData;

/// Answers the macro's question whether a reply that is not called `Result` is one all the same: of the two constants
/// `IS_RESULT` the inherent one is found first, where there is one.
///
/// ```text
///   PlainReply::<Fetched>::IS_RESULT      type Fetched = Result<u8, E>    inherent: true
///   PlainReply::<u8>::IS_RESULT                                           of the trait: false
/// ```
pub struct PlainReply<T: ?Sized>(PhantomData<T>);

impl<T, E> PlainReply<Result<T, E>> {
    /// A `Result` under another name.
    pub const IS_RESULT: bool = true;
}

/// The answer for all other types.
pub trait NotResult {
    /// Not a `Result`.
    const IS_RESULT: bool = false;
}

impl<T: ?Sized> NotResult for PlainReply<T> {}
