//! Expressions and what they come to.

use crate::signatures::{self, CIDR, FORMAT, IP, QUANTITY, SEMVER, URL};
use crate::value::Opaque;
use crate::{Program, RUN_COST_MAX, Stop, Type, Value, fns};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "n": { "type": "integer" },
            "f": { "type": "number" },
            "s": { "type": "string" },
            "when": { "type": "string", "format": "date-time" },
            "span": { "type": "string", "format": "duration" },
            "raw": { "type": "string", "format": "byte" },
            "port": { "x-kubernetes-int-or-string": true },
            "a-b": { "type": "string" },
            "namespace": { "type": "string" },
            "list": { "type": "array", "items": { "type": "integer" } },
            "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
            "rules": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": { "type": "object", "properties": { "name": { "type": "string" }, "v": { "type": "integer" } } }
            },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "sub": { "type": "object", "properties": { "x": { "type": "string", "nullable": true } } },
            "any": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "untyped": { "x-kubernetes-preserve-unknown-fields": true },
        }
    })
}

fn object() -> Json {
    json!({
        "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": "it", "labels": { "a": "b" } },
        "n": 3, "f": 2, "s": "häuser", "when": "2026-11-21T10:00:00Z", "span": "90s", "raw": "aGk=", "port": "http",
        "a-b": "dash", "namespace": "ns", "list": [1, 2, 3], "set": ["a", "b"],
        "rules": [{ "name": "one", "v": 1 }, { "name": "two", "v": 2 }],
        "map": { "k": "v", "k.x/y": "w" }, "sub": { "x": null }, "any": { "y": 1 }, "untyped": 5
    })
}

fn compile(source: &str, kind: &Type) -> Result<Program, String> {
    Program::compile(source, &[("self", kind.clone()), ("oldSelf", Type::optional(kind.clone()))])
}

/// What an expression comes to, in words.
fn outcome(source: &str) -> String {
    let (schema, object) = (schema(), object());
    let kind = Type::of_schema(&schema, true).unwrap();
    let program = match compile(source, &kind) {
        Ok(program) => program,
        Err(why) => return format!("refused: {}", why.lines().next().unwrap_or_default()),
    };
    let own = Value::of_json(&object, &kind).unwrap();
    let variables = [("self", own), ("oldSelf", Value::optional(None))];
    match program.run(&variables, RUN_COST_MAX).0 {
        Ok(value) => format!("{}: {}", fns::show(&value), program.kind()),
        Err(stop) => format!("stopped: {stop}"),
    }
}

fn check(sources: &str, expected: Expect) {
    let all: Vec<String> = sources
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}  =>  {}", outcome(line)))
        .collect();
    expected.assert_eq(&(all.join("\n") + "\n"));
}

/// Lines that must all be true.
fn all_true(sources: &str) {
    for line in sources.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert_eq!(outcome(line), "true: bool", "{line}");
    }
}

#[test]
fn values_and_operators() {
    all_true(
        r#"
        1 + 2 * 3 == 7 && 7 % 4 == 3 && -7 / 2 == -3 && 0x10 == 16
        1.5 + 1.5 == 3.0 && 1e3 == 1000.0 && .5 == 0.5
        2u * 3u == 6u
        'a' + "b" == r'ab' && """a
        'a\n\x41\u00e4\101\\' == 'a' + "\nAäA\\"
        b'\xff' != b'ff' && b"hi" == self.raw
        1 < 2 && 1 <= 1.5 && 2u > 1 && !(1 >= 2) && 'a' < 'b' && false < true
        true ? true : 1 / 0 == 1
        (true || 1 / 0 == 1) && (1 / 0 == 1 || true) && !(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)
        1 in [1, 2] && !(3 in [1, 2]) && 'k' in self.map && 'v' in {'v': 1}
        [1] + [2] == [1, 2] && {'a': 1, 'b': 2} == {'b': 2, 'a': 1}
        {'a': [1, 2]}['a'][1] == 2 && {1: 'x'}[1] == 'x'
        -9223372036854775808 < 0 && 18446744073709551615u > 1u
        self.n == 3 && self.f == 2.0 && self.s == 'häuser' && self.a__dash__b == 'dash' && self.__namespace__ == 'ns'
        self.metadata.name == 'it' && self.kind == 'Thing' && !has(self.metadata.generateName)
        self.when < timestamp('2027-01-01T00:00:00Z') && self.span == duration('1m30s')
        has(self.n) && has(self.map.k) && !has(self.sub.x) && has(self.sub)
        self.map['k.x/y'] == 'w' && size(self.map) == 2
        type(self.port) == string ? self.port == 'http' : self.port > 1
        type(1) == int && type([]) == list && type(null) == null_type && type(self.when) == google.protobuf.Timestamp
        self.set == ['b', 'a'] && self.rules == self.rules && self.set + ['b', 'c'] == ['a', 'b', 'c']
        self == self && self.any == self.any
        size(self.s) == 6 && self.s.size() == 6 && b'ab'.size() == 2
        self.sub == null || true
        "#.replace("\"\"\"a\n", "'x' == 'x'\n").as_str(),
    );
}

#[test]
fn macros_and_optional_values() {
    all_true(
        r"
        self.list.all(x, x > 0) && self.list.exists(x, x == 2) && self.list.exists_one(x, x == 2) && !self.list.existsOne(x, x > 1)
        self.list.filter(x, x > 1) == [2, 3] && self.list.map(x, x * 2) == [2, 4, 6] && self.list.map(x, x > 1, x * 2) == [4, 6]
        self.map.all(k, k.startsWith('k')) && self.map.exists(k, v, v == 'w')
        self.list.all(i, x, x == i + 1) && self.list.transformList(i, x, i > 0, x + i) == [3, 5]
        self.map.transformMap(k, v, v + '!') == {'k': 'v!', 'k.x/y': 'w!'}
        self.map.transformMapEntry(k, v, {v: k}) == {'v': 'k', 'w': 'k.x/y'}
        self.rules.sortBy(r, -r.v).map(r, r.name) == ['two', 'one']
        self.list.all(x, self.list.exists(y, y == x))
        [1, 0].exists(x, 1 / x == 1) && ![0, 1].all(x, 1 / x > 5)
        cel.bind(x, self.n * 2, x + x) == 12
        self.?n.orValue(7) == 3 && self.?sub.?x.orValue('none') == 'none' && self.?sub.x.hasValue() == false
        self.map[?'k'] == optional.of('v') && self.map[?'zz'].orValue('d') == 'd' && self.list[?9].hasValue() == false
        optional.of(1).or(optional.of(2)).value() == 1 && optional.of(1).orValue(2) == 1
        optional.none().or(optional.of(1)).value() == 1 && optional.ofNonZeroValue('') == optional.none()
        self.?n.optMap(x, x + 1) == optional.of(4) && self.map[?'zz'].optMap(x, x + '1') == optional.none()
        self.?sub.optFlatMap(s, s.?x).hasValue() == false
        [1, ?optional.none(), ?optional.of(2)] == [1, 2] && {?'a': optional.none(), 'b': 1} == {'b': 1}
        [optional.of(1), optional.none()].unwrapOpt() == [1]
        !oldSelf.hasValue() && oldSelf.optMap(o, o.n == 1).orValue(true)
        ",
    );
}

#[test]
fn functions() {
    all_true(
        r#"
        int('12') == 12 && int(2.9) == 2 && int(3u) == 3 && uint(2) == 2u && double('1.5') == 1.5 && bool('true')
        string(1) == '1' && string(1.5) == '1.5' && string(true) == 'true' && string(duration('90m')) == '5400s' && string(self.when) == '2026-11-21T10:00:00Z'
        string(1.0) == '1' && string(1e30) == '1e+30' && string(b'hi') == 'hi' && bytes('hi') == b'hi'
        dyn(1) == dyn(1u) && dyn(1) == 1.0
        duration('1h') + duration('30m') == duration('1.5h') && duration('1h') > duration('59m') && duration('-1ms').getMilliseconds() == -1
        timestamp('2026-11-21T10:00:00Z') + duration('1h') == timestamp('2026-11-21T11:00:00Z') && self.when - self.when == duration('0')
        self.when.getFullYear() == 2026 && self.when.getMonth() == 10 && self.when.getDate() == 21 && self.when.getDayOfMonth() == 20
        self.when.getDayOfWeek() == 6 && self.when.getHours('+02:00') == 12 && self.when.getDayOfYear() == 324 && duration('90m').getHours() == 1
        'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c') && 'a1'.matches('^[a-z][0-9]$') && matches('ab', 'b')
        'häuser'.charAt(1) == 'ä' && 'häuser'.indexOf('u') == 2 && 'aXbX'.lastIndexOf('X') == 3 && 'aXbX'.lastIndexOf('X', 2) == 1 && 'aXbX'.indexOf('X', 2) == 3
        'aBc'.lowerAscii() == 'abc' && 'abc'.upperAscii() == 'ABC' && 'a-b-c'.replace('-', '+', 1) == 'a+b-c' && ' x '.trim() == 'x'
        'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b'] && 'a'.split(',', 0) == []
        'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco' && ['a', 'b'].join('-') == 'a-b' && ['a'].join() == 'a'
        '%s is %d, %.2f, %x, %b, %o %%'.format([dyn('a'), 3, 1.5, 255, 5, 8]) == 'a is 3, 1.50, ff, 101, 10 %'
        '%s %s %X %e'.format([dyn([1, 2]), {'k': 1}, 'hi', 1234.5]) == '[1, 2] {k: 1} 6869 1.234500e+03'
        strings.quote('a"b') == '"a\\"b"'
        'abc123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2'] && 'a1b2'.findAll('[0-9]', 1) == ['1']
        [1, 2, 2].isSorted() && ![2, 1].isSorted() && [1, 2].sum() == 3 && [1.5, 2.5].sum() == 4.0 && [3, 1].min() == 1 && ['a', 'b'].max() == 'b'
        [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1
        [3, 1, 2].sort() == [1, 2, 3] && [1, 2, 3].slice(1, 3) == [2, 3] && [[1], [2]].flatten() == [1, 2] && [[[1]], [[2]]].flatten(2) == [1, 2] && [1, 1].distinct() == [1]
        [1, 2].reverse() == [2, 1] && [1, 2].first().value() == 1 && [1, 2].last() == optional.of(2) && lists.range(3) == [0, 1, 2]
        sets.contains([1, 2, 3], [2, 3]) && sets.equivalent([1, 2], [2, 1, 1]) && sets.intersects([1], [1, 2]) && !sets.intersects([1], [2])
        url('https://u:p@example.com:80/a b?x=1&x=2#f').getHost() == 'example.com:80' && url('https://[::1]:80/').getHostname() == '::1'
        url('https://example.com/a b?x=1&x=2').getEscapedPath() == '/a%20b' && url('https://e.com/?x=1&x=%202').getQuery() == {'x': ['1', ' 2']}
        url('/path').getScheme() == '' && isURL('https://e.com') && !isURL('../x') && url('https://e.com:9').getPort() == '9' && !isURL('https://a b.com/')
        ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && isIP('fe80::1') && !isIP('1.2.3') && !isIP('::ffff:1.2.3.4') && string(ip('::0001')) == '::1'
        ip('169.254.1.1').isLinkLocalUnicast() && ip('224.0.0.5').isLinkLocalMulticast() && ip('8.8.8.8').isGlobalUnicast() && ip('0.0.0.0').isUnspecified()
        ip.isCanonical('::1') && !ip.isCanonical('::01') && ip('10.0.0.1') == ip('10.0.0.1')
        cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1')) && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')
        !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8')) && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('::/0').prefixLength() == 0
        cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && isCIDR('fe80::/10') && !isCIDR('10.0.0.0/33') && string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8'
        quantity('1Gi').isGreaterThan(quantity('500Mi')) && quantity('1').compareTo(quantity('1000m')) == 0 && quantity('200k').asInteger() == 200000
        quantity('50k').add(20) == quantity('50020') && quantity('2').sub(quantity('1.5')).asApproximateFloat() == 0.5 && isQuantity('1Mi') && !isQuantity('200K')
        sign(quantity('-1')) == -1 && !quantity('0.5').isInteger()
        !quantity('1').isGreaterThan(quantity('1000m')) && !quantity('1').isLessThan(quantity('1000m'))
        semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && semver('v1.0', true) == semver('1.0.0')
        isSemver('1.2.3-a+b') && !isSemver('v1.0.0') && semver('1.2.3').minor() == 2 && semver('1.0.0-2').compareTo(semver('1.0.0-10')) == -1
        !format.dns1123Label().validate('a-b').hasValue() && format.dns1123Label().validate('A').value()[0].startsWith('a lowercase RFC 1123 label')
        format.named('nope') == optional.none() && format.named('uuid').value().validate('x').hasValue() && !format.dns1035LabelPrefix().validate('a-').hasValue()
        !format.byte().validate('aGk=').hasValue() && format.date().validate('2026-02-31').hasValue() && format.uri().validate('x y').hasValue()
        [1, 2, 3].exists(x, x in self.list) && self.rules.exists(r, r.name == 'two' && r.v == 2)
        "#,
    );
}

#[test]
fn what_is_wrong_is_said_before_a_run() {
    check(
        r"
        self.x
        self.any.y
        self.untyped
        self.n == 'a'
        self.n + 1.0
        foo(1)
        self.s.nope()
        self.n.startsWith('a')
        y
        1 +
        self.namespace
        a b
        'open
        [1, 'a']
        {'a': 1, 2: 2}
        self.list.all(1, true)
        self.n.all(x, true)
        self.list.all(x, x)
        has(self)
        self.s.matches('(')
        duration('1x')
        1 && true
        self.list['a']
        true ? 1 : 'a'
        while
        Foo{a: 1}
        99999999999999999999
        [true].sum()
        ",
        expect![[r#"
            self.x  =>  refused: ERROR: <input>:1:5: undefined field 'x'
            self.any.y  =>  refused: ERROR: <input>:1:9: undefined field 'y'
            self.untyped  =>  refused: ERROR: <input>:1:5: undefined field 'untyped'
            self.n == 'a'  =>  refused: ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(int, string)'
            self.n + 1.0  =>  refused: ERROR: <input>:1:8: found no matching overload for '_+_' applied to '(int, double)'
            foo(1)  =>  refused: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')
            self.s.nope()  =>  refused: ERROR: <input>:1:7: undeclared reference to 'nope' (in container '')
            self.n.startsWith('a')  =>  refused: ERROR: <input>:1:7: found no matching overload for 'startsWith' applied to 'int.(string)'
            y  =>  refused: ERROR: <input>:1:1: undeclared reference to 'y' (in container '')
            1 +  =>  refused: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting an expression
            self.namespace  =>  refused: ERROR: <input>:1:5: undefined field 'namespace'
            a b  =>  refused: ERROR: <input>:1:3: Syntax error: mismatched input 'b' expecting <EOF>
            'open  =>  refused: ERROR: <input>:1:1: Syntax error: a string that does not end
            [1, 'a']  =>  refused: ERROR: <input>:1:5: expected type 'int' but found 'string'
            {'a': 1, 2: 2}  =>  refused: ERROR: <input>:1:10: expected type 'string' but found 'int'
            self.list.all(1, true)  =>  refused: ERROR: <input>:1:15: argument must be a simple name
            self.n.all(x, true)  =>  refused: ERROR: <input>:1:7: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)
            self.list.all(x, x)  =>  refused: ERROR: <input>:1:18: expected type 'bool' but found 'int'
            has(self)  =>  refused: ERROR: <input>:1:5: invalid argument to has() macro
            self.s.matches('(')  =>  refused: ERROR: <input>:1:16: invalid matches argument: regex parse error:     (     ^ error: unclosed group
            duration('1x')  =>  refused: ERROR: <input>:1:10: invalid duration argument
            1 && true  =>  refused: ERROR: <input>:1:3: found no matching overload for '_&&_' applied to '(int, bool)'
            self.list['a']  =>  refused: ERROR: <input>:1:10: found no matching overload for '_[_]' applied to '(list(int), string)'
            true ? 1 : 'a'  =>  refused: ERROR: <input>:1:6: found no matching overload for '_?_:_' applied to '(bool, int, string)'
            while  =>  refused: ERROR: <input>:1:1: reserved identifier: while
            Foo{a: 1}  =>  refused: ERROR: <input>:1:1: undeclared reference to 'Foo' (in container '')
            99999999999999999999  =>  refused: ERROR: <input>:1:1: invalid int literal
            [true].sum()  =>  refused: ERROR: <input>:1:7: found no matching overload for 'sum' applied to 'list(bool).()'
        "#]],
    );
}

#[test]
fn what_stops_a_run_is_said() {
    check(
        r"
        1 / 0
        9223372036854775807 + 1
        self.map['zz']
        self.list[7]
        int('x')
        self.port > 1
        ip('1.2.3')
        cidr('1.2.3.4')
        [].min()
        'abc'.substring(5)
        optional.none().value()
        self.when.getHours('Europe/Berlin')
        duration(self.s)
        self.list.map(x, lists.range(1000000))
        lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0))
        {'a': 1, 'a': 2}
        '%d'.format(['a'])
        self.s.matches(self.s + '(')
        quantity('0.5').asInteger() == 0
        lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0)) || true
        ",
        expect![[r#"
            1 / 0  =>  stopped: division by zero
            9223372036854775807 + 1  =>  stopped: integer overflow
            self.map['zz']  =>  stopped: no such key: zz
            self.list[7]  =>  stopped: index out of bounds: 7
            int('x')  =>  stopped: type conversion error from 'x' to 'int'
            self.port > 1  =>  stopped: no such overload
            ip('1.2.3')  =>  stopped: IP Address "1.2.3" parse error during conversion from string: ParseAddr("1.2.3"): unable to parse IP
            cidr('1.2.3.4')  =>  stopped: network address parse error during conversion from string: netip.ParsePrefix("1.2.3.4"): no '/'
            [].min()  =>  stopped: min called on empty list
            'abc'.substring(5)  =>  stopped: index out of range: 5
            optional.none().value()  =>  stopped: optional.none() dereference
            self.when.getHours('Europe/Berlin')  =>  stopped: unknown time zone Europe/Berlin
            duration(self.s)  =>  stopped: type conversion error from 'häuser' to 'google.protobuf.Duration'
            self.list.map(x, lists.range(1000000))  =>  stopped: operation cancelled: actual cost limit exceeded
            lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0))  =>  stopped: operation cancelled: actual cost limit exceeded
            {'a': 1, 'a': 2}  =>  stopped: Failed with repeated key: a
            '%d'.format(['a'])  =>  stopped: error during formatting: decimal clause can not be used on string
            self.s.matches(self.s + '(')  =>  stopped: regex parse error:     häuser(           ^ error: unclosed group
            quantity('0.5').asInteger() == 0  =>  stopped: cannot convert value to integer
            lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0)) || true  =>  stopped: operation cancelled: actual cost limit exceeded
        "#]],
    );
}

#[test]
fn an_error_shows_its_place() {
    let why = Program::compile(
        "self.a &&\n  self.b == 1",
        &[("self", Type::object(vec![("a", Type::Bool)]))],
    );
    expect![[r#"
        ERROR: <input>:2:7: undefined field 'b'
         |   self.b == 1
         | ......^"#]]
    .assert_eq(&why.unwrap_err());
}

#[test]
fn trees_are_of_limited_depth_and_chains_of_and_are_not() {
    let kind = Type::Int;
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("!", "true", ""),
        ("-", "x", ""),
        ("", "1", "+1"),
        ("", "a", ".b"),
        ("true ? 1 : ", "1", ""),
    ] {
        let source = format!("{}{inner}{}", open.repeat(5000), close.repeat(5000));
        let why = compile(&source, &kind).unwrap_err();
        assert!(
            why.contains("recursion limit") && why.len() < 1000,
            "{open}{inner}{close}: {}",
            why.len()
        );
    }
    let source = vec!["self > 0"; 5000].join(" && ");
    let program = compile(&source, &kind).unwrap();
    let (result, cost) = program.run(&[("self", Value::Int(1))], RUN_COST_MAX);
    assert_eq!(result.unwrap().as_bool(), Some(true));
    assert!(5000 < cost);
}

#[test]
fn a_run_stays_within_its_budget_in_time_and_memory() {
    let long = json!({ "s": "x".repeat(1 << 20) });
    let kind = Type::object(vec![("s", Type::Text)]);
    for source in [
        "(self.s + self.s + self.s + self.s + self.s + self.s + self.s + self.s + self.s + self.s + self.s).size() > 0",
        "lists.range(100000).map(x, self.s + 'y').size() > 0",
        "self.s.replace('x', self.s).size() > 0",
        "self.s.split('').map(x, x + x).size() > 0",
        "lists.range(1000).all(x, self.s.matches('x*'))",
        "lists.range(1000).map(x, lists.range(1000).map(y, lists.range(1000))).size() > 0",
    ] {
        let program = compile(source, &kind).unwrap();
        let own = Value::of_json(&long, &kind).unwrap();
        let (result, cost) = program.run(&[("self", own)], RUN_COST_MAX);
        assert_eq!(result.map(|value| value.as_bool()), Err(Stop::Cost), "{source}");
        assert_eq!(cost, RUN_COST_MAX, "{source}");
    }
}

/// What is read, and how often, is paid for, whatever comes of it.
#[test]
fn work_has_its_price() {
    let kind = Type::of_schema(&schema(), true).unwrap();
    let object = object();
    let cost = |source: &str| {
        let program = compile(source, &kind).unwrap();
        let own = Value::of_json(&object, &kind).unwrap();
        let variables = [("self", own), ("oldSelf", Value::optional(None))];
        let (result, cost) = program.run(&variables, RUN_COST_MAX);
        assert_eq!(result.map(|value| value.as_bool()), Ok(Some(true)), "{source}");
        format!("{cost} for {source}\n")
    };
    let all: String = [
        "true",
        "self.n == 3",
        "self.n == 3 && self.n == 3",
        "self.list.all(x, true)",
        "self.list.exists(x, x == 3)",
        "self.map.all(k, true)",
        "self.list.map(x, x).size() == 3",
        "self.s.matches('.*')",
        "self.s.matches('.*.*.*.*.*.*.*.*.*.*')",
        "self.s.contains('user')",
        "self.s + self.s != ''",
        "[1, 2, 3].size() == 3",
        "{'a': 1}.size() == 1",
        "self.rules == self.rules",
        "quantity('1') == quantity('1000m')",
    ]
    .into_iter()
    .map(cost)
    .collect::<Vec<_>>()
    .concat();
    expect![[r#"
        0 for true
        4 for self.n == 3
        10 for self.n == 3 && self.n == 3
        9 for self.list.all(x, true)
        15 for self.list.exists(x, x == 3)
        7 for self.map.all(k, true)
        14 for self.list.map(x, x).size() == 3
        6 for self.s.matches('.*')
        14 for self.s.matches('.*.*.*.*.*.*.*.*.*.*')
        6 for self.s.contains('user')
        10 for self.s + self.s != ''
        12 for [1, 2, 3].size() == 3
        33 for {'a': 1}.size() == 1
        21 for self.rules == self.rules
        5 for quantity('1') == quantity('1000m')
    "#]]
    .assert_eq(&all);
}

/// Lists that are maps are united by their keys, and what comes later counts.
#[test]
fn items_of_the_same_key_become_the_later_one() {
    let schema = schema()["properties"]["rules"].clone();
    let kind = Type::of_schema(&schema, false).unwrap();
    let variables = [("self", kind.clone()), ("other", kind.clone())];
    let source = "(self + other).map(r, r.name + string(r.v)) == ['one1', 'two9', 'three3']";
    let program = Program::compile(source, &variables).unwrap();
    let one = json!([{ "name": "one", "v": 1 }, { "name": "two", "v": 2 }]);
    let other = json!([{ "name": "two", "v": 9 }, { "name": "three", "v": 3 }]);
    let values = [
        ("self", Value::of_json(&one, &kind).unwrap()),
        ("other", Value::of_json(&other, &kind).unwrap()),
    ];
    let (result, _) = program.run(&values, RUN_COST_MAX);
    assert_eq!(result.map(|value| value.as_bool()), Ok(Some(true)));
}

/// A value of each type that signatures name.
fn sample(kind: &Type) -> Value<'static> {
    let opaque = |name: &str, source: &'static str| {
        let mut run = crate::eval::Run::new(&[], RUN_COST_MAX);
        fns::call(&mut run, name, false, &[source.into()], None).unwrap()
    };
    match kind {
        Type::Bool => Value::Bool(true),
        Type::Int | Type::Dyn | Type::Param(_) => Value::Int(1),
        Type::Uint => Value::Uint(1),
        Type::Double => Value::Double(1.0),
        Type::Text => "1".into(),
        Type::Bytes => Value::Bytes([49].as_slice().into()),
        Type::Timestamp => Value::Timestamp(jiff::Timestamp::UNIX_EPOCH),
        Type::Duration => Value::Duration(1),
        Type::List(list) => Value::list(vec![sample(&list.of)]),
        Type::Map(map) => Value::map([(sample(&map.0).key().unwrap(), sample(&map.1))].into()),
        Type::Optional(of) => Value::some(sample(of)),
        Type::Type => Value::Type("int".into()),
        kind if *kind == URL => opaque("url", "/a"),
        kind if *kind == IP => opaque("ip", "::1"),
        kind if *kind == CIDR => opaque("cidr", "::/0"),
        kind if *kind == QUANTITY => opaque("quantity", "1"),
        kind if *kind == SEMVER => opaque("semver", "1.0.0"),
        kind if *kind == FORMAT => Value::opaque(Opaque::Format("uuid")),
        other => unreachable!("{other}"),
    }
}

#[test]
fn every_function_that_is_declared_exists() {
    for row in signatures::table() {
        let name = row.split(' ').next().unwrap().trim_start_matches('.');
        for one in signatures::of(name) {
            let mut args: Vec<Value<'_>> = one.args.iter().map(sample).collect();
            if name == "unwrap" || name.ends_with("unwrap") || name == "unwrapOpt" {
                args = vec![Value::list(vec![Value::some(Value::Int(1))])];
            }
            let mut run = crate::eval::Run::new(&[], RUN_COST_MAX);
            let result = fns::call(&mut run, name, one.member, &args, None);
            assert!(!matches!(result, Err(Stop::Overload)), "{row}: {one:?}");
        }
    }
}

/// Text out of the words of the language.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "self",
        ".",
        "n",
        "s",
        "list",
        "map",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "?",
        ":",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        "==",
        "in",
        "&&",
        "||",
        "!",
        "1",
        "2u",
        "1.5",
        "'a'",
        "b'x'",
        "true",
        "null",
        "has",
        "all",
        "x",
        "filter",
        "exists",
        "size",
        "string",
        ".?",
        "[?",
        "optional.of",
        "cel.bind",
        "r'\\'",
        "\"\"\"",
        "'",
        "\\",
        "0x",
        "e",
        " ",
        "matches",
        "format",
        "'%s%d'",
        "split",
        "ä",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic(source in prop_oneof![words(), any::<String>()], object in object_of_any_shape()) {
        let kind = Type::of_schema(&schema(), true).unwrap();
        if let Ok(program) = compile(&source, &kind) {
            // The object need not be of the type: what a client sent is checked beside this.
            if let Ok(own) = Value::of_json(&object, &kind) {
                let (_, cost) = program.run(&[("self", own), ("oldSelf", Value::optional(None))], 10_000);
                prop_assert!(cost <= 10_000);
            }
        }
    }
}

fn object_of_any_shape() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(3)),
        Just(json!(1.5)),
        Just(json!("a")),
        Just(json!(true)),
        Just(json!(u64::MAX))
    ];
    let any = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map(
        prop::sample::select(vec!["n", "s", "list", "map", "sub", "when"]),
        any,
        0..6,
    )
    .prop_map(|map| json!(map))
}
