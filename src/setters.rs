//! The setters of builders.

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
