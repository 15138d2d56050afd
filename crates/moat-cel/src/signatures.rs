//! Which functions and operators there are, and for which types. What is not here is refused when an expression is compiled.

use crate::types::Type;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// One way to call a function.
#[derive(Debug)]
pub(crate) struct Signature {
    /// Whether the first argument is the receiver.
    pub(crate) member: bool,
    pub(crate) args: Vec<Type>,
    pub(crate) result: Type,
}

/// `name arguments result`, where a name with a dot before it is that of a receiver's function. Types are letters, see `kind`.
const TABLE: &[&str] = &[
    // Operators.
    "!_ b b",
    "-_ i i",
    "-_ d d",
    "_==_ AA b",
    "_!=_ AA b",
    "_+_ ii i",
    "_+_ uu u",
    "_+_ dd d",
    "_+_ ss s",
    "_+_ yy y",
    "_+_ LALA LA",
    "_+_ hh h",
    "_+_ ht t",
    "_+_ th t",
    "_-_ ii i",
    "_-_ uu u",
    "_-_ dd d",
    "_-_ hh h",
    "_-_ tt h",
    "_-_ th t",
    "_*_ ii i",
    "_*_ uu u",
    "_*_ dd d",
    "_/_ ii i",
    "_/_ uu u",
    "_/_ dd d",
    "_%_ ii i",
    "_%_ uu u",
    "@in ALA b",
    "@in AMAB b",
    // The standard library.
    "size s i",
    "size y i",
    "size LA i",
    "size MAB i",
    ".size s i",
    ".size y i",
    ".size LA i",
    ".size MAB i",
    ".contains ss b",
    ".startsWith ss b",
    ".endsWith ss b",
    ".matches ss b",
    "matches ss b",
    "int i i",
    "int u i",
    "int d i",
    "int s i",
    "int t i",
    "uint u u",
    "uint i u",
    "uint d u",
    "uint s u",
    "double d d",
    "double i d",
    "double u d",
    "double s d",
    "bool b b",
    "bool s b",
    "bytes y y",
    "bytes s y",
    "string s s",
    "string b s",
    "string i s",
    "string u s",
    "string d s",
    "string y s",
    "string t s",
    "string h s",
    "dyn A *",
    "type A T",
    "timestamp s t",
    "timestamp i t",
    "timestamp t t",
    "duration s h",
    "duration h h",
    "duration i h",
    ".getFullYear t i",
    ".getFullYear ts i",
    ".getMonth t i",
    ".getMonth ts i",
    ".getDayOfYear t i",
    ".getDayOfYear ts i",
    ".getDayOfMonth t i",
    ".getDayOfMonth ts i",
    ".getDate t i",
    ".getDate ts i",
    ".getDayOfWeek t i",
    ".getDayOfWeek ts i",
    ".getHours t i",
    ".getHours ts i",
    ".getHours h i",
    ".getMinutes t i",
    ".getMinutes ts i",
    ".getMinutes h i",
    ".getSeconds t i",
    ".getSeconds ts i",
    ".getSeconds h i",
    ".getMilliseconds t i",
    ".getMilliseconds ts i",
    ".getMilliseconds h i",
    // Optional values.
    "optional.of A OA",
    "optional.ofNonZeroValue A OA",
    "optional.none  OA",
    ".hasValue OA b",
    ".value OA A",
    ".or OAOA OA",
    ".orValue OAA A",
    "optional.unwrap LOA LA",
    ".unwrapOpt LOA LA",
    // Strings.
    ".charAt si s",
    ".indexOf ss i",
    ".indexOf ssi i",
    ".lastIndexOf ss i",
    ".lastIndexOf ssi i",
    ".lowerAscii s s",
    ".upperAscii s s",
    ".replace sss s",
    ".replace sssi s",
    ".split ss Ls",
    ".split ssi Ls",
    ".substring si s",
    ".substring sii s",
    ".trim s s",
    ".join Ls s",
    ".join Lss s",
    ".format sL* s",
    "strings.quote s s",
    // Regular expressions.
    ".find ss s",
    ".findAll ss Ls",
    ".findAll ssi Ls",
    // Lists and sets.
    ".isSorted LC b",
    ".sum LN N",
    ".max LC C",
    ".min LC C",
    ".indexOf LAA i",
    ".lastIndexOf LAA i",
    ".slice LAii LA",
    ".flatten L* L*",
    ".flatten L*i L*",
    ".sort LC LC",
    ".distinct LA LA",
    ".reverse LA LA",
    ".first LA OA",
    ".last LA OA",
    "lists.range i Li",
    "sets.contains LALA b",
    "sets.equivalent LALA b",
    "sets.intersects LALA b",
    // URLs.
    "url s U",
    "isURL s b",
    ".getScheme U s",
    ".getHost U s",
    ".getHostname U s",
    ".getPort U s",
    ".getEscapedPath U s",
    ".getQuery U MsLs",
    // Addresses.
    "ip s P",
    "isIP s b",
    "ip.isCanonical s b",
    "string P s",
    ".family P i",
    ".isUnspecified P b",
    ".isLoopback P b",
    ".isLinkLocalMulticast P b",
    ".isLinkLocalUnicast P b",
    ".isGlobalUnicast P b",
    "cidr s R",
    "isCIDR s b",
    "string R s",
    ".containsIP Rs b",
    ".containsIP RP b",
    ".containsCIDR Rs b",
    ".containsCIDR RR b",
    ".ip R P",
    ".prefixLength R i",
    ".masked R R",
    // Quantities.
    "quantity s Q",
    "isQuantity s b",
    "sign Q i",
    ".sign Q i",
    ".isGreaterThan QQ b",
    ".isLessThan QQ b",
    ".compareTo QQ i",
    ".asApproximateFloat Q d",
    ".asInteger Q i",
    ".isInteger Q b",
    ".add QQ Q",
    ".add Qi Q",
    ".sub QQ Q",
    ".sub Qi Q",
    // Versions.
    "semver s V",
    "semver sb V",
    "isSemver s b",
    "isSemver sb b",
    ".major V i",
    ".minor V i",
    ".patch V i",
    ".isGreaterThan VV b",
    ".isLessThan VV b",
    ".compareTo VV i",
    // Formats.
    "format.named s OF",
    ".validate Fs OLs",
    "format.dns1123Label  F",
    "format.dns1123Subdomain  F",
    "format.dns1035Label  F",
    "format.qualifiedName  F",
    "format.dns1123LabelPrefix  F",
    "format.dns1123SubdomainPrefix  F",
    "format.dns1035LabelPrefix  F",
    "format.labelValue  F",
    "format.uri  F",
    "format.uuid  F",
    "format.byte  F",
    "format.date  F",
    "format.datetime  F",
];

pub(crate) const URL: Type = Type::Opaque("kubernetes.URL");
pub(crate) const IP: Type = Type::Opaque("net.IP");
pub(crate) const CIDR: Type = Type::Opaque("net.CIDR");
pub(crate) const QUANTITY: Type = Type::Opaque("kubernetes.Quantity");
pub(crate) const SEMVER: Type = Type::Opaque("kubernetes.Semver");
pub(crate) const FORMAT: Type = Type::Opaque("kubernetes.NamedFormat");

/// Reads one type: `C` is what has an order, `N` what has a sum; both are parameters that `allows` narrows.
fn kind(letters: &mut std::str::Chars<'_>) -> Option<Type> {
    Some(match letters.next()? {
        '*' => Type::Dyn,
        'b' => Type::Bool,
        'i' => Type::Int,
        'u' => Type::Uint,
        'd' => Type::Double,
        's' => Type::Text,
        'y' => Type::Bytes,
        't' => Type::Timestamp,
        'h' => Type::Duration,
        'T' => Type::Type,
        'U' => URL,
        'P' => IP,
        'R' => CIDR,
        'Q' => QUANTITY,
        'V' => SEMVER,
        'F' => FORMAT,
        'L' => Type::list(kind(letters)?),
        'M' => Type::map(kind(letters)?, kind(letters)?),
        'O' => Type::optional(kind(letters)?),
        param => Type::Param(param),
    })
}

/// Whether a parameter may stand for a type.
pub(crate) fn allows(param: char, kind: &Type) -> bool {
    let sums = matches!(kind, Type::Dyn | Type::Int | Type::Uint | Type::Double | Type::Duration);
    match param {
        'N' => sums,
        'C' => sums || matches!(kind, Type::Bool | Type::Text | Type::Bytes | Type::Timestamp),
        _ => true,
    }
}

/// All ways to call the functions of a name.
pub(crate) fn of(name: &str) -> &'static [Signature] {
    static ALL: OnceLock<BTreeMap<&'static str, Vec<Signature>>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mut all: BTreeMap<&str, Vec<Signature>> = BTreeMap::new();
        for row in TABLE {
            let mut words = row.split(' ');
            let (name, args, result) = (
                words.next().unwrap_or(""),
                words.next().unwrap_or(""),
                words.next().unwrap_or(""),
            );
            let (name, member) = match name.strip_prefix('.') {
                Some(name) => (name, true),
                None => (name, false),
            };
            let mut letters = args.chars();
            let args = std::iter::from_fn(|| kind(&mut letters)).collect();
            let result = kind(&mut result.chars()).unwrap_or(Type::Dyn);
            all.entry(name).or_default().push(Signature { member, args, result });
        }
        all
    });
    all.get(name).map_or(&[], Vec::as_slice)
}

/// Whether a name with dots is that of a function.
pub(crate) fn is_known(name: &str) -> bool {
    of(name).iter().any(|one| !one.member)
}

#[cfg(test)]
pub(crate) fn table() -> &'static [&'static str] {
    TABLE
}
