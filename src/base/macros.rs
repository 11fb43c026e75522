//! Macros for what many types say in the same way.

/// Writes methods that take a builder by value, set its fields and give it back. `self.` is left out before the fields.
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

/// Writes `Clone` for a type whose last parameter marks a kind of error, and need not be `Clone` itself.
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

/// Writes an enum whose variants have a word each: `as_str` returns it, and `Display` writes it. `ALL` holds the variants
/// in their order. `as_str, without Display` leaves `Display` to the type, for an error that says more than its word.
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
