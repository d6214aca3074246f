//! `derive(ColumnValue)`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, LitStr, Result, Variant};

use crate::profile::crate_path;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    match &input.data {
        Data::Enum(data) => enumeration(input, data),
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => newtype(input, &fields.unnamed),
            _ => Err(Error::new_spanned(
                &input.ident,
                "`ColumnValue` is derived for an enumeration without fields or a struct with one unnamed field; wrap any serde type in `Json<T>`",
            )),
        },
        Data::Union(_) => Err(Error::new_spanned(&input.ident, "a union cannot stand in a column")),
    }
}

fn enumeration(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let krate = crate_path(&input.attrs)?;
    let name = &input.ident;
    if data.variants.is_empty() {
        return Err(Error::new_spanned(name, "an enumeration without variants has no values to store"));
    }
    let words = data.variants.iter().map(word).collect::<Result<Vec<_>>>()?;
    for (index, word) in words.iter().enumerate() {
        if words.iter().take(index).any(|other| other.value() == word.value()) {
            return Err(Error::new_spanned(word, format!("two variants are stored as {:?}", word.value())));
        }
    }
    let variants = data.variants.iter().map(|variant| &variant.ident).collect::<Vec<_>>();
    Ok(quote! {
        impl #krate::ColumnValue for #name {
            const KIND: #krate::Kind = #krate::Kind::Text;
            fn to_value(&self) -> #krate::Value {
                #krate::Value::Text(::std::string::String::from(match self { #(Self::#variants => #words),* }))
            }
            fn from_value(value: #krate::Value) -> ::std::result::Result<Self, #krate::ValueError> {
                match &*<::std::string::String as #krate::ColumnValue>::from_value(value)? {
                    #(#words => ::std::result::Result::Ok(Self::#variants),)*
                    _ => ::std::result::Result::Err(#krate::ValueError::NotOneOf(&[#(#words),*])),
                }
            }
            fn schema() -> #krate::__private::serde_json::Value {
                #krate::__private::enumeration_schema(&[#(#words),*])
            }
        }
    })
}

fn word(variant: &Variant) -> Result<LitStr> {
    if !matches!(variant.fields, Fields::Unit) {
        return Err(Error::new_spanned(
            variant,
            "a variant with fields cannot be stored as a word; wrap the whole type in `Json<T>` instead",
        ));
    }
    match variant.attrs.iter().find(|attribute| attribute.path().is_ident("column")) {
        Some(attribute) => attribute.parse_args::<LitStr>(),
        None => Ok(LitStr::new(&snake_case(&variant.ident.to_string()), variant.ident.span())),
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}

fn newtype(
    input: &DeriveInput,
    fields: &syn::punctuated::Punctuated<syn::Field, syn::Token![,]>,
) -> Result<TokenStream> {
    let krate = crate_path(&input.attrs)?;
    let name = &input.ident;
    let inner = fields.iter().map(|field| &field.ty).collect::<Vec<_>>();
    Ok(quote! {
        #(impl #krate::ColumnValue for #name {
            const KIND: #krate::Kind = <#inner as #krate::ColumnValue>::KIND;
            const NULLABLE: bool = <#inner as #krate::ColumnValue>::NULLABLE;
            fn to_value(&self) -> #krate::Value {
                #krate::ColumnValue::to_value(&self.0)
            }
            fn from_value(value: #krate::Value) -> ::std::result::Result<Self, #krate::ValueError> {
                <#inner as #krate::ColumnValue>::from_value(value).map(Self)
            }
            fn schema() -> #krate::__private::serde_json::Value {
                <#inner as #krate::ColumnValue>::schema()
            }
        })*
    })
}
