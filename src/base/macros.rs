//! Macros for code that many types share.

/// Implements setters of a builder, which take it by value and return it. Fields are written without `self.`.
macro_rules! setters {
    ($(
        $(#[$attribute:meta])*
        pub fn $name:ident($($argument:ident: $kind:ty),*) { $($($field:ident).+ = $value:expr;)+ }
    )+) => {$(
        $(#[$attribute])*
        pub fn $name(mut self, $($argument: $kind),*) -> Self {
            $(self.$($field).+ = $value;)+
            self
        }
    )+};
}

/// Implements `Clone` for a type whose last parameter only marks a kind of error and need not be `Clone`.
macro_rules! cloned {
    ($name:ident<$($of:ident),+; $marker:ident> { $($field:ident),+ }) => {
        impl<$($of: Clone,)+ $marker> Clone for $name<$($of,)+ $marker> {
            #[inline]
            fn clone(&self) -> Self {
                Self { $($field: Clone::clone(&self.$field)),+ }
            }
        }
    };
}

/// Defines an enum with a word for each variant, which `as_str` and `Display` return. `ALL` contains the variants in order.
/// With `as_str, without Display`, the type implements `Display` itself, for example an error with a longer text.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        $visible:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal,)+
        }
        $(#[$of_word:meta])*
        $word_visible:vis as_str, without Display;
    ) => {
        $(#[$attribute])*
        $visible enum $name {
            $($(#[$of_variant])* $variant,)+
        }

        impl $name {
            $(#[$of_word])*
            #[must_use]
            $word_visible fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $visible:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal,)+
        }
        $(#[$of_word:meta])*
        $word_visible:vis as_str;
    ) => {
        words! {
            $(#[$attribute])*
            $visible enum $name {
                $($(#[$of_variant])* $variant = $word,)+
            }
            $(#[$of_word])*
            $word_visible as_str, without Display;
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $visible:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal,)+
        }
        $(#[$of_word:meta])*
        $word_visible:vis as_str $(, $without:ident $display:ident)?;
        $(#[$of_all:meta])*
        $all_visible:vis ALL;
    ) => {
        words! {
            $(#[$attribute])*
            $visible enum $name {
                $($(#[$of_variant])* $variant = $word,)+
            }
            $(#[$of_word])*
            $word_visible as_str $(, $without $display)?;
        }

        impl $name {
            $(#[$of_all])*
            $all_visible const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];
        }
    };
}

/// Implements tonic's `NamedService` for a service around another one, whose name it takes. tonic's `add_service` needs it.
#[cfg(feature = "grpc")]
macro_rules! named {
    ($name:ident<S $(, $of:ident)*>) => {
        #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
        impl<S: tonic::server::NamedService $(, $of)*> tonic::server::NamedService for $name<S $(, $of)*> {
            const NAME: &'static str = S::NAME;
        }
    };
}
