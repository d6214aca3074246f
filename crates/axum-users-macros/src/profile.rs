//! `derive(UserProfile)`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, Ident, LitStr, Path, Result, Type, Visibility,
    ext::IdentExt as _, parse_quote,
};

/// Columns of the user itself, and words of its requests and answers.
const TAKEN: [&str; 11] = [
    "id",
    "email",
    "password",
    "current_password",
    "hashed_password",
    "is_active",
    "is_superuser",
    "is_verified",
    "tokens_valid_after",
    "reset_token_hash",
    "oauth_accounts",
];

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a profile is a struct: one field for each of your own columns"));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a profile has no parameters: its columns are those of one table",
        ));
    }
    let fields = match &data.fields {
        Fields::Named(named) => named.named.iter().map(Own::parse).collect::<Result<Vec<_>>>()?,
        Fields::Unit => Vec::new(),
        Fields::Unnamed(unnamed) => {
            return Err(Error::new_spanned(unnamed, "a column needs a name: use a struct with named fields"));
        }
    };
    check_names(&fields)?;
    let options = Options::parse(&input.attrs)?;
    let names = Names::new(input, &options);
    let read = read_struct(&names, &fields);
    let create = if options.create.is_some() { TokenStream::new() } else { create_struct(&names, &fields) };
    let update = update_struct(&names, &fields);
    let profile = profile_impl(&names, &options, &fields, matches!(data.fields, Fields::Unit));
    Ok(quote! { #read #create #update #profile })
}

/// One field and what is said of it.
struct Own {
    ident: Ident,
    name: String,
    ty: Type,
    vis: Visibility,
    docs: Vec<Attribute>,
    read_only: bool,
    hidden: bool,
    unique: bool,
    column: Option<LitStr>,
    default: Option<Expr>,
}

impl Own {
    fn parse(field: &syn::Field) -> Result<Self> {
        let ident = field.ident.clone().ok_or_else(|| Error::new_spanned(field, "a column needs a name"))?;
        let mut own = Self {
            name: ident.unraw().to_string(),
            ident,
            ty: field.ty.clone(),
            vis: field.vis.clone(),
            docs: field.attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).cloned().collect(),
            read_only: false,
            hidden: false,
            unique: false,
            column: None,
            default: None,
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("profile")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("read_only") {
                    own.read_only = true;
                } else if meta.path.is_ident("hidden") {
                    own.hidden = true;
                } else if meta.path.is_ident("unique") {
                    own.unique = true;
                } else if meta.path.is_ident("column") {
                    own.column = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("default") {
                    own.default = Some(if meta.input.peek(syn::Token![=]) {
                        meta.value()?.parse()?
                    } else {
                        parse_quote!(::std::default::Default::default())
                    });
                } else {
                    return Err(meta.error(
                        "a column is `read_only`, `hidden`, `unique`, has a `column = \"name\"` in the table, or a `default`",
                    ));
                }
                Ok(())
            })?;
        }
        Ok(own)
    }

    /// Whether a body may set it.
    fn writable(&self) -> bool {
        !self.read_only && !self.hidden
    }

    fn default(&self) -> Expr {
        self.default.clone().unwrap_or_else(|| parse_quote!(::std::default::Default::default()))
    }
}

fn check_names(fields: &[Own]) -> Result<()> {
    for (index, field) in fields.iter().enumerate() {
        let column = field.column.as_ref().map_or_else(|| field.name.clone(), LitStr::value);
        for taken in [&field.name, &column] {
            if TAKEN.contains(&taken.as_str()) {
                return Err(Error::new(
                    field.ident.span(),
                    format!("`{taken}` is a column of the user itself; a profile holds only your own columns"),
                ));
            }
        }
        let same = |other: &&Own| other.column.as_ref().map_or_else(|| other.name.clone(), LitStr::value) == column;
        if fields.iter().take(index).any(|other| same(&other)) {
            return Err(Error::new(field.ident.span(), format!("two fields are stored in the column `{column}`")));
        }
    }
    Ok(())
}

/// What is said of the whole profile.
struct Options {
    krate: Path,
    id: Option<Type>,
    create: Option<Type>,
    derives: Vec<Path>,
}

impl Options {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self { krate: parse_quote!(::axum_users), id: None, create: None, derives: Vec::new() };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("profile")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("id") {
                    options.id = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("create") {
                    options.create = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("crate") {
                    options.krate = meta.value()?.parse()?;
                } else if meta.path.is_ident("derive") {
                    meta.parse_nested_meta(|derive| {
                        options.derives.push(derive.path);
                        Ok(())
                    })?;
                } else {
                    return Err(meta.error("a profile has an `id = i64`, a `create = YourType`, or `derive(…)`"));
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

/// The path of our crate, where a type says so.
pub(crate) fn crate_path(attributes: &[Attribute]) -> Result<Path> {
    Options::parse(attributes).map(|options| options.krate)
}

/// What the generated items are called.
struct Names<'a> {
    profile: &'a Ident,
    vis: &'a Visibility,
    krate: Path,
    derives: Vec<Path>,
    read: Ident,
    create: Ident,
    update: Ident,
}

impl<'a> Names<'a> {
    fn new(input: &'a DeriveInput, options: &Options) -> Self {
        let name = &input.ident;
        Self {
            profile: name,
            vis: &input.vis,
            krate: options.krate.clone(),
            derives: options.derives.clone(),
            read: format_ident!("{name}Read"),
            create: format_ident!("{name}Create"),
            update: format_ident!("{name}Update"),
        }
    }

    fn docs(&self, what: &str) -> LitStr {
        LitStr::new(&format!("{what} [`{}`].", self.profile), Span::call_site())
    }
}

fn read_struct(names: &Names<'_>, fields: &[Own]) -> TokenStream {
    let Names { profile, vis, krate, derives, read, .. } = names;
    let shown = fields.iter().filter(|field| !field.hidden).collect::<Vec<_>>();
    let (idents, types, keys) = parts(&shown);
    let (visibilities, docs) = decorations(&shown);
    let doc = names.docs("What answers show of a");
    quote! {
        #[doc = #doc]
        #[derive(::std::clone::Clone, #(#derives),*)]
        #vis struct #read { #(#(#docs)* #visibilities #idents: #types,)* }

        impl ::std::convert::From<#profile> for #read {
            fn from(profile: #profile) -> Self {
                Self { #(#idents: profile.#idents,)* }
            }
        }
        impl #krate::ProfileRead for #read {
            fn serialize_members<M: #krate::__private::SerializeMap>(
                &self,
                map: &mut M,
            ) -> ::std::result::Result<(), M::Error> {
                #(#krate::serialize_member(map, #keys, &self.#idents)?;)*
                let _ = map;
                ::std::result::Result::Ok(())
            }
            fn properties() -> ::std::vec::Vec<#krate::Property> {
                ::std::vec![#(#krate::Property::required::<#types>(#keys)),*]
            }
        }
    }
}

fn create_struct(names: &Names<'_>, fields: &[Own]) -> TokenStream {
    let Names { profile, vis, krate, derives, create, .. } = names;
    let taken = fields.iter().filter(|field| field.writable()).collect::<Vec<_>>();
    let (idents, types, keys) = parts(&taken);
    let (visibilities, docs) = decorations(&taken);
    let reads = taken.iter().zip(&keys).map(|(field, key)| {
        let ty = &field.ty;
        match &field.default {
            Some(default) => quote! {
                body.optional::<#ty>(#key, || #default)
            },
            None => quote! { body.column::<#ty>(#key) },
        }
    });
    let properties = taken.iter().zip(&keys).map(|(field, key)| {
        let ty = &field.ty;
        if field.default.is_some() {
            quote! { #krate::Property::optional::<#ty>(#key) }
        } else {
            quote! { #krate::Property::column::<#ty>(#key) }
        }
    });
    let rest = fields.iter().filter(|field| !field.writable());
    let (rest_idents, rest_defaults): (Vec<_>, Vec<_>) = rest.map(|field| (&field.ident, field.default())).unzip();
    let doc = names.docs("What a registration may say of a");
    quote! {
        #[doc = #doc]
        #[derive(::std::clone::Clone, #(#derives),*)]
        #vis struct #create { #(#(#docs)* #visibilities #idents: #types,)* }

        impl ::std::convert::From<#create> for #profile {
            fn from(create: #create) -> Self {
                let _ = &create;
                Self { #(#idents: create.#idents,)* #(#rest_idents: #rest_defaults,)* }
            }
        }
        impl #krate::FromBody for #create {
            fn from_body(body: &mut #krate::Body) -> ::std::option::Option<Self> {
                // Every field is tried, so that every mistake is told.
                #(let #idents = #reads;)*
                let _ = body;
                ::std::option::Option::Some(Self { #(#idents: #idents?,)* })
            }
            fn properties() -> ::std::vec::Vec<#krate::Property> {
                ::std::vec![#(#properties),*]
            }
        }
    }
}

fn update_struct(names: &Names<'_>, fields: &[Own]) -> TokenStream {
    let Names { vis, krate, derives, update, .. } = names;
    let all = fields.iter().collect::<Vec<_>>();
    let (idents, types, keys) = parts(&all);
    let (visibilities, docs) = decorations(&all);
    let reads = fields.iter().zip(&keys).map(|(field, key)| {
        let ty = &field.ty;
        if field.writable() {
            quote! { body.update::<#ty>(#key) }
        } else {
            quote! { ::std::option::Option::Some(::std::option::Option::None) }
        }
    });
    let writable = fields.iter().filter(|field| field.writable()).collect::<Vec<_>>();
    let (_, writable_types, writable_keys) = parts(&writable);
    let doc = names.docs("What an update may say of a");
    quote! {
        #[doc = #doc]
        ///
        /// `None` keeps. Columns that no body may set can be set here, by a program.
        #[derive(::std::clone::Clone, ::std::default::Default, #(#derives),*)]
        #vis struct #update { #(#(#docs)* #visibilities #idents: ::std::option::Option<#types>,)* }

        impl #krate::FromBody for #update {
            fn from_body(body: &mut #krate::Body) -> ::std::option::Option<Self> {
                #(let #idents = #reads;)*
                let _ = body;
                ::std::option::Option::Some(Self { #(#idents: #idents?,)* })
            }
            fn properties() -> ::std::vec::Vec<#krate::Property> {
                ::std::vec![#(#krate::Property::update::<#writable_types>(#writable_keys)),*]
            }
        }
    }
}

fn profile_impl(names: &Names<'_>, options: &Options, fields: &[Own], is_unit: bool) -> TokenStream {
    let Names { profile, krate, read, create, update, .. } = names;
    let create = options.create.as_ref().map_or_else(|| quote!(#create), |own| quote!(#own));
    let id = options.id.as_ref().map_or_else(|| quote!(#krate::__private::Uuid), |id| quote!(#id));
    let all = fields.iter().collect::<Vec<_>>();
    let (idents, types, keys) = parts(&all);
    let indexes = (0..fields.len()).collect::<Vec<_>>();
    let columns = fields.iter().zip(&keys).map(|(field, key)| {
        let ty = &field.ty;
        let stored_as = field.column.as_ref().map(|column| quote!(.stored_as(#column)));
        let unique = field.unique.then(|| quote!(.unique()));
        let default = field
            .default
            .as_ref()
            .map(|default| quote!(.default(|| { let value: #ty = #default; #krate::ColumnValue::to_value(&value) })));
        quote! { #krate::Column::of::<#ty>(#key)#stored_as #unique #default }
    });
    let decoded = if is_unit { quote!(Self) } else { quote!(Self { #(#idents: row.get::<#types>(#indexes)?,)* }) };
    quote! {
        impl #krate::UserProfile for #profile {
            type Id = #id;
            type Read = #read;
            type Create = #create;
            type Update = #update;

            fn columns() -> &'static [#krate::Column] {
                const COLUMNS: &[#krate::Column] = &[#(#columns),*];
                COLUMNS
            }
            fn encode(&self) -> ::std::vec::Vec<#krate::Value> {
                ::std::vec![#(#krate::ColumnValue::to_value(&self.#idents)),*]
            }
            fn decode(row: &dyn #krate::Row) -> ::std::result::Result<Self, #krate::ValueError> {
                let _ = row;
                ::std::result::Result::Ok(#decoded)
            }
            fn changes(update: &Self::Update) -> #krate::Changes {
                let mut changes = #krate::Changes::new();
                #(changes.set_if(#indexes, update.#idents.as_ref());)*
                let _ = (update, &mut changes);
                changes
            }
        }
    }
}

type Parts<'a> = (Vec<&'a Ident>, Vec<&'a Type>, Vec<&'a str>);

fn parts<'a>(fields: &[&'a Own]) -> Parts<'a> {
    let idents = fields.iter().map(|field| &field.ident).collect();
    let types = fields.iter().map(|field| &field.ty).collect();
    (idents, types, fields.iter().map(|field| field.name.as_str()).collect())
}

fn decorations<'a>(fields: &[&'a Own]) -> (Vec<&'a Visibility>, Vec<&'a [Attribute]>) {
    fields.iter().map(|field| (&field.vis, field.docs.as_slice())).unzip()
}
