//! Looking addresses up in a database of places and networks.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::Reader;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::target::coerced_str;
use crate::error::Fault;
use crate::object::Object;
use crate::spec::{Args, Param, Prepared, Spec, Traits};
use crate::value::Value;

const PATH: &[Param] = &[Param::string("path", "Path of the database, an mmdb file.")];
const BLOCKS: Traits = Traits { impure: true, blocks: true, ..Traits::PLAIN };

/// A method that looks up what a shape describes.
const fn lookup(name: &'static str, summary: &'static str, run: crate::spec::Method) -> Spec {
    Spec::plugin(name, summary, PATH, run).prepared(open).traits(BLOCKS)
}

pub(super) static FAMILY: &[Spec] = &[
    lookup("geoip_anonymous_ip", "Whether an address hides who uses it.", |_, target, args| {
        find(&target, args, ANONYMOUS)
    }),
    lookup("geoip_asn", "The autonomous system of an address.", |_, target, args| find(&target, args, ASN)),
    lookup("geoip_city", "The city of an address.", |_, target, args| find(&target, args, CITY)),
    lookup("geoip_connection_type", "How an address is connected.", |_, target, args| {
        find(&target, args, CONNECTION)
    }),
    lookup("geoip_country", "The country of an address.", |_, target, args| find(&target, args, COUNTRY)),
    lookup("geoip_domain", "The domain of an address.", |_, target, args| find(&target, args, DOMAIN)),
    lookup("geoip_enterprise", "All that is known of an address.", |_, target, args| {
        find(&target, args, ENTERPRISE)
    }),
    lookup("geoip_isp", "The provider of an address.", |_, target, args| find(&target, args, ISP)),
];

/// A member of a result: its name, its key in the database, and what it is where the database has none.
struct Field(&'static str, &'static str, Shape);

#[derive(Clone, Copy)]
enum Shape {
    Bool,
    Number,
    Text,
    /// Texts by language.
    Names,
    Group(&'static [Field]),
    List(&'static [Field]),
}

use Shape::{Bool, Group, List, Names, Number, Text};

const ANONYMOUS: &[Field] = &[
    Field("IsAnonymous", "is_anonymous", Bool),
    Field("IsAnonymousVPN", "is_anonymous_vpn", Bool),
    Field("IsHostingProvider", "is_hosting_provider", Bool),
    Field("IsPublicProxy", "is_public_proxy", Bool),
    Field("IsResidentialProxy", "is_residential_proxy", Bool),
    Field("IsTorExitNode", "is_tor_exit_node", Bool),
];
const ASN: &[Field] = &[
    Field("AutonomousSystemNumber", "autonomous_system_number", Number),
    Field("AutonomousSystemOrganization", "autonomous_system_organization", Text),
];
const ISP: &[Field] = &[
    Field("AutonomousSystemNumber", "autonomous_system_number", Number),
    Field("AutonomousSystemOrganization", "autonomous_system_organization", Text),
    Field("ISP", "isp", Text),
    Field("MobileCountryCode", "mobile_country_code", Text),
    Field("MobileNetworkCode", "mobile_network_code", Text),
    Field("Organization", "organization", Text),
];
const CONNECTION: &[Field] = &[Field("ConnectionType", "connection_type", Text)];
const DOMAIN: &[Field] = &[Field("Domain", "domain", Text)];

const NAME: Field = Field("Names", "names", Names);
const ID: Field = Field("GeoNameID", "geoname_id", Number);
const ISO: Field = Field("IsoCode", "iso_code", Text);
const EUROPEAN: Field = Field("IsInEuropeanUnion", "is_in_european_union", Bool);
const SURE: Field = Field("Confidence", "confidence", Number);
const NATION: &[Field] = &[ID, EUROPEAN, ISO, NAME];
const CONTINENT: Field = Field("Continent", "continent", Group(&[Field("Code", "code", Text), ID, NAME]));
const REGISTERED: Field = Field("RegisteredCountry", "registered_country", Group(NATION));
const REPRESENTED: Field = Field(
    "RepresentedCountry",
    "represented_country",
    Group(&[ID, EUROPEAN, ISO, NAME, Field("Type", "type", Text)]),
);
const PLACE: &[Field] = &[
    Field("AccuracyRadius", "accuracy_radius", Number),
    Field("Latitude", "latitude", Number),
    Field("Longitude", "longitude", Number),
    Field("MetroCode", "metro_code", Number),
    Field("TimeZone", "time_zone", Text),
];
const TRAITS: &[Field] = &[
    Field("IsAnonymousProxy", "is_anonymous_proxy", Bool),
    Field("IsAnycast", "is_anycast", Bool),
    Field("IsSatelliteProvider", "is_satellite_provider", Bool),
];
const COUNTRY: &[Field] = &[
    CONTINENT,
    Field("Country", "country", Group(NATION)),
    REGISTERED,
    REPRESENTED,
    Field("Traits", "traits", Group(TRAITS)),
];
const CITY: &[Field] = &[
    Field("City", "city", Group(&[ID, NAME])),
    CONTINENT,
    Field("Country", "country", Group(NATION)),
    Field("Location", "location", Group(PLACE)),
    Field("Postal", "postal", Group(&[Field("Code", "code", Text)])),
    REGISTERED,
    REPRESENTED,
    Field("Subdivisions", "subdivisions", List(&[ID, ISO, NAME])),
    Field("Traits", "traits", Group(TRAITS)),
];
const ENTERPRISE: &[Field] = &[
    Field("City", "city", Group(&[SURE, ID, NAME])),
    CONTINENT,
    Field("Country", "country", Group(&[SURE, ID, EUROPEAN, ISO, NAME])),
    Field("Location", "location", Group(PLACE)),
    Field("Postal", "postal", Group(&[Field("Code", "code", Text), SURE])),
    Field("RegisteredCountry", "registered_country", Group(&[SURE, ID, EUROPEAN, ISO, NAME])),
    REPRESENTED,
    Field("Subdivisions", "subdivisions", List(&[SURE, ID, ISO, NAME])),
    Field(
        "Traits",
        "traits",
        Group(&[
            Field("AutonomousSystemNumber", "autonomous_system_number", Number),
            Field("AutonomousSystemOrganization", "autonomous_system_organization", Text),
            Field("ConnectionType", "connection_type", Text),
            Field("Domain", "domain", Text),
            Field("ISP", "isp", Text),
            Field("IsAnonymousProxy", "is_anonymous_proxy", Bool),
            Field("IsAnycast", "is_anycast", Bool),
            Field("IsLegitimateProxy", "is_legitimate_proxy", Bool),
            Field("IsSatelliteProvider", "is_satellite_provider", Bool),
            Field("MobileCountryCode", "mobile_country_code", Text),
            Field("MobileNetworkCode", "mobile_network_code", Text),
            Field("Organization", "organization", Text),
            Field("StaticIPScore", "static_ip_score", Number),
            Field("UserType", "user_type", Text),
        ]),
    ),
];

type Database = Reader<Vec<u8>>;

fn open(args: &Args<'_>) -> Result<Prepared, Fault> {
    let path = args.str(0);
    let bytes = std::fs::read(&*path)
        .map_err(|error| Fault::new(crate::compat::file_error("open", &path, &error)))?;
    match Reader::from_source(bytes) {
        Ok(reader) => Ok(Arc::new(reader)),
        Err(error) => Err(Fault::new(format!("{path} is not a database of addresses: {error}"))),
    }
}

fn find(target: &Value, args: &Args<'_>, fields: &[Field]) -> Result<Value, Fault> {
    let text = coerced_str(target)?;
    let address: IpAddr = text
        .parse()
        .map_err(|_| Fault::new(format!("value {text} does not appear to be a valid v4 or v6 IP address")))?;
    let Some(database) = args.prepared::<Database>() else {
        return Err(Fault::new("the database was not opened"));
    };
    let found = database.lookup(address).and_then(|found| found.decode::<Any>());
    let found = found.map_err(|error| Fault::new(error.to_string()))?;
    Ok(shaped(&found.map_or(Value::Null, |Any(value)| value), fields))
}

/// A record in the shape of its type: every member is there, known or not.
fn shaped(record: &Value, fields: &[Field]) -> Value {
    let member = |Field(name, key, shape): &Field| {
        let known = record.member(key.as_bytes()).filter(|value| !value.is_null());
        let value = match (shape, known) {
            (Group(fields), known) => shaped(&known.unwrap_or_default(), fields),
            (List(fields), Some(list)) => {
                list.to_array().unwrap_or_default().iter().map(|item| shaped(item, fields)).collect()
            }
            (_, Some(value)) => value,
            (Bool, None) => Value::Bool(false),
            (Number, None) => Value::Int(0),
            (Text, None) => "".into(),
            (Names | List(_), None) => Value::Null,
        };
        (*name, value)
    };
    Value::object(fields.iter().map(member).collect())
}

/// Any value of a database.
struct Any(Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Any)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Uint(value), Value::Int))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(value.to_string().into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::bytes(value.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(Any(item)) = items.next_element()? {
            out.push(item);
        }
        Ok(out.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut out = Object::new();
        while let Some((Any(key), Any(value))) = members.next_entry()? {
            out.insert(key.to_text(), value);
        }
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use crate::environment::Environment;
    use crate::eval::Scratch;
    use crate::message::Message;
    use crate::program::{Mapped, Program};

    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(2 << 5 | u8::try_from(text.len()).unwrap());
        out.extend_from_slice(text.as_bytes());
    }

    fn number(out: &mut Vec<u8>, number: u16) {
        out.push(5 << 5 | 2);
        out.extend_from_slice(&number.to_be_bytes());
    }

    /// A database whose one network is 128.0.0.0/1, in IPv4.
    fn database() -> Vec<u8> {
        let mut out = vec![0, 0, 1, 0, 0, 17];
        out.extend_from_slice(&[0; 16]);
        out.push(7 << 5 | 1);
        text(&mut out, "city");
        out.push(7 << 5 | 2);
        text(&mut out, "geoname_id");
        number(&mut out, 42);
        text(&mut out, "names");
        out.push(7 << 5 | 1);
        text(&mut out, "en");
        text(&mut out, "Oslo");
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        out.push(7 << 5 | 9);
        for (key, value) in [
            ("binary_format_major_version", &[0xa1, 2][..]),
            ("binary_format_minor_version", &[0xa0]),
            ("build_epoch", &[1, 2, 1]),
            ("ip_version", &[0xa1, 4]),
            ("node_count", &[0xc1, 1]),
            ("record_size", &[0xa1, 24]),
        ] {
            text(&mut out, key);
            out.extend_from_slice(value);
        }
        text(&mut out, "database_type");
        text(&mut out, "Test-City");
        text(&mut out, "languages");
        out.extend_from_slice(&[0, 4]);
        text(&mut out, "description");
        out.push(7 << 5);
        out
    }

    #[test]
    fn a_known_and_an_unknown_address() {
        let path = std::env::temp_dir().join(format!("weir-geoip-{}.mmdb", std::process::id()));
        std::fs::write(&path, database()).unwrap();
        let source = format!("root = this.geoip_city({:?}).City", path.display().to_string());
        let program = Program::parse(&source, &Environment::new()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(program.blocks());
        let batch = [Message::new(&b"\"200.1.1.1\""[..]), Message::new(&b"\"1.1.1.1\""[..])];
        let out = |index| match program.map(&batch, index, &mut Scratch::default()).unwrap() {
            Mapped::Message(message) => String::from_utf8(message.content().to_vec()).unwrap(),
            Mapped::Dropped => String::new(),
        };
        assert_eq!(out(0), r#"{"GeoNameID":42,"Names":{"en":"Oslo"}}"#);
        assert_eq!(out(1), r#"{"GeoNameID":0,"Names":null}"#);
    }
}
