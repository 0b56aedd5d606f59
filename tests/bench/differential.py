#!/usr/bin/env python3
"""Random Bloblang mappings over random documents: weir's answers beside the reference's.

usage: differential.py WEIR REFERENCE [--seed N] [--count N] [--jobs N] [--mode mapping|stream|all] [--only METHOD]

`mapping`: whole mappings, one at a time, through the reference's `blobl server` and weir's `blobl`: results, parse errors
with their places, and errors of evaluation must be the same.
`stream`: those that parse, some dozens in one config that both `run`: mutations, mappings of batches with metadata, and
interpolated fields.

Every disagreement is printed as a line of JSON; those with a reason in KNOWN are counted by it and not printed. Reductions
are left to the reader. Methods and functions that one of the two lacks, or that differ from run to run, are not used.
"""
import argparse, collections, json, os, random, re, resource, signal, subprocess, sys, tempfile, time, urllib.request
from concurrent.futures import ThreadPoolExecutor

# What differs and is left so: a reason, and what tells it, searched in the mapping, the reference's answer and weir's.
# `None` fits anything.
KNOWN = [
    ('a lambda\'s name is refused where a sibling of it has used it; here it is free again', None, '^PARSE .*would shadow a parent context', None),
    ('arguments that make it panic when they are used are refused when a mapping is built', None, None, '^PARSE .*(gcm needs an init|must be between 0 and)'),
    ('times beyond the years -9999 to 9999 are refused', None, None, 'timestamp is out of range'),
    ('times beyond the years -9999 to 9999 are refused', r'(inf|NaN|big).*(ts_|timestamp)', None, None),
    ('the order of values() and key_values() is any', r'\.(values|key_values)\(', None, None),
    ('which member of an object fails first is any', None, 'E', 'E.*failed to (resolve \'|process element)'),
    ('which member of an object fails first is any', r'\.(filter|map_each|map_each_key|all|any|find_by)\(', 'E:', 'E:'),
    ('what is said of a YAML directive that is none', '%', 'found unknown directive name', 'did not find expected'),
    ('compressors pack alike, but not to the same bytes', r'compress\(', '^OK|^{"c"', '^OK|^{"c"'),
    ('bytes that are no UTF-8 are U+FFFD in errors', None, r'\\x[89a-f]', r'xef\\+xbf\\+xbd|\ufffd|invalid'),
    ('an empty list literal as text is null there', r'\[\]', 'null|bnVsbA|ull', r'\[\]|W10|\]$'),
    ('its `blobl` gives metadata() what the mapping has set', r'meta(data)?\(', None, None),
    ('half a surrogate pair in a document is written anew by its `blobl` where nothing is assigned', None, '\ufffd', r'\\ud800'),
    ('the float of the text -0 is negative', r'\.(sin|tan|float64|float32|number|ceil|floor|round)\(', r'\(-0\)|[:\[,] ?-0[,}\]]', None),
    ('levels that lz4 does not know are refused', 'compress', None, 'lz4: invalid compression level'),
    ('the place of a byte that is no ASCII85', 'ascii85', 'input byte', 'input byte'),
    ('a deflate text that breaks off in its first block is empty', 'flate', '^OK', 'unexpected EOF'),
    ('the last digit of sines of angles beyond 2^29', r'\.(sin|cos|tan)\(', '^OK|^{"c"', '^OK|^{"c"'),
    ('what may stand in an ISO duration is said in other words', None, 'expected a designator', 'expected a designator'),
    ('which of several members that map_each_key gives one name is the last is any', r'map_each_key\(', '^OK|^{"c"', '^OK|^{"c"'),
]


def pick(*options, odd=()):
    """One of some options, seldom an odd one; those that can be called are."""
    def choose(g):
        option = g.r.choice(odd if odd and g.r.random() < .04 else options)
        return option(g) if callable(option) else option
    return choose


def quoted(*texts):
    return pick(*(json.dumps(text, ensure_ascii=False) for text in texts))


STRINGS = ['a', 'l', 'o', '', 'Hello World', ' x ', ',', 'a,b\n1,2\n', 'héllo wörld ✓', '<a&b>"\'', 'ß İ ǆ ﬁ', '%d', '42', '-7', '1.5e3',
           '0x1F', '017', 'NaN', 'inf', 'true', 'null', '{"j":[1,2.50,{"k":null}]}', '[1,"a",{"b":2}]', 'a: 1\nb: [x, 2.5]\n', 'k=v&k=w&x',
           'level=info msg="a b" n=1', '2024-02-29T12:34:56.789Z', '2021-01-01T00:00:00+02:00', '2024-02-30', '1h5m', 'P1Y2DT3H', 'a.b.c',
           '/a/../b//c.txt', 'http://u:p@h:80/a%2Fb?q=1&q=2#f', 'eGl6', '616263', '<root><a x="1">t</a><a>2</a></root>', '\u2028', 'o.x',
           'aXbXc', 'the quick brown fox', '127.0.0.1', '\\', 'a\tb', '0', '1', 'e\u0301', '👍🏽 ok']
ESCAPED = [r'"\xff"', r'"a\x00b"', r'"\u00e9\U0001F600"', r'"\a\b\f\v"', r'"\303\251"', r'"\xe2\x82"', '"""raw "q" \\n"""']
INTS = ['0', '1', '2', '-1', '-2', '3', '5', '10', '100', '007']
BIG = ['9223372036854775807', '9007199254740993', '4294967296', '2147483647', '1234567890', '253402300799']
FLOATS = ['0.0', '1.0', '2.5', '0.1', '-0.5', '1.9', '123456789.123456789', '100000000000000000000000.0', '0.0000001', '5.5']
TIMES = ['"2024-02-29T12:34:56.789Z".ts_parse("2006-01-02T15:04:05Z07:00")', '"1969-12-31T23:59:59.5+01:00".ts_parse("2006-01-02T15:04:05Z07:00")',
         '0.ts_tz("UTC")', '1709210096.ts_tz("America/New_York")']
ODD = ['"NaN".number()', '"inf".number()', '-"inf".number()', '"a\\xffb".bytes()', '"".bytes()', 'content()', '"5".int32()', '3.uint8()',
       '2.5.float32()', '"18446744073709551615".uint64()', '[3,1,2].find(1)', '"n: 7".parse_yaml().n', 'deleted()', 'nothing()', 'pi()',
       '"1e400".parse_json(use_number: true)', '"-0".parse_json()']


def string(g):
    return json.dumps(g.r.choice(STRINGS), ensure_ascii=False) if g.r.random() < .9 else g.r.choice(ESCAPED)


def integer(g):
    return g.r.choice(INTS) if g.r.random() < .93 else g.r.choice(BIG)


def literal(g):
    return g.r.choice([string, string, integer, pick(*FLOATS), pick('true', 'false', 'null'), pick(*ODD), pick(*TIMES),
                       pick('[]', '{}', '[1,2,3]', '[3,"a",null]', '[[1],[2,[3]]]', '{"a":1,"b":{"c":[1]}}', '{"a":null}', '["b","a","b"]',
                            '[{"k":"a","v":1},{"k":"b","v":2}]', '[1.5,2,-3]', '{"b":"x","a":{"b":true}}', '[true,false]')])(g)


PATHS = ['this', 'this.id', 'this.n', 'this.f', 'this.neg', 'this.big', 'this.s', 'this.e', 'this.b', 'this.z', 'this.arr', 'this.mix', 'this.objs',
         'this.o', 'this.o.x', 'this.o.y.z', 'this.ts', 'this.num', 'this.uni', 'this.missing', 'this.arr.0', 'this.arr.9', 'this.mix.3.x', 'this.objs."*".k',
         'this.o.w', 'this.url', 'this.xs', 'this.raw', 'this."a.b"', 'this.arr."*"', 'id', 's', 'o.y', 'arr', 'objs.1.v', 'this.deep.l.0.m', 'this.dup',
         'json("o.x")', 'json()', 'json("arr.0")', 'json("n")']
PLACES = ['root', 'root.a', 'root.a', 'root.b', 'root.b.c', 'root.o.x', 'root.arr.0', 'root.arr."-"', 'root.arr.1.x', 'root."a.b"', 'root.s', 'a', 'x.y.z',
          'root.o', 'root.n', 'this.q', 'root.objs.0.k', 'root.arr.9', 'root.mix.1', 'root.z.y']


def lambda_(g):
    name = g.r.choice(['v', 'item', 'x', '_', 'e'])
    if name in g.names or g.r.random() < .25:
        return g.expr(1)
    g.names.append(name)
    body = g.expr(1) if g.r.random() < .5 else pick(
        f'{name}', f'{name} + 1', f'{name}.string()', f'{name} == 1', f'{name} > 1', f'{name}.k', f'{name}.type()', f'{name}.value', f'{name}.uppercase()',
        f'if {name} == 2 {{ deleted() }} else {{ {name} }}', f'if {name} == 2 {{ nothing() }} else {{ [{name}] }}', f'{name}.key', f'{name}.length() > 1', 'true',
        f'!{name}', 'this.s', f'{name}.not_null()', f'{name}.v')(g).replace('_.', 'this.')
    g.names.pop()
    if name == '_' and re.search(r'\b_\b', body):
        body = 'true'
    return f'{name} -> {body}'


def query(g):
    return g.expr(1)


def layout(g):
    return g.r.choice(['"2006-01-02"', '"2006-01-02T15:04:05Z07:00"', '"Mon Jan _2 15:04:05.000 MST 2006"', '"3:04PM"', '"02/01/06 -0700"', '"Monday, 02-Jan-06 15:04:05"',
                       '"2006-01-02 15:04:05.999999"', '"002 2006"', '"Jan 2, 2006 at 3:04pm (MST)"', '"20060102150405"', '"15h04,000"'])


def strftime(g):
    return g.r.choice(['"%Y-%m-%d %H:%M:%S"', '"%Y-%m-%dT%H:%M:%S.%fZ"', '"%b %e %j %U %A %p"', '"%s %f %z"', '"%-d/%_m/%^b"', '"%G-W%V-%u"', '"%C %y %I %l %k"', '"%T%%%n%t"', '"%Q"', '"%D %F %R %c %x %X"', '"%10Y|%3d"'])


zone = pick('"UTC"', '"America/New_York"', '"Europe/Berlin"', '"Local"', '""', '"Asia/Kolkata"', odd=['"Nowhere/At_All"'])
path = pick('"a"', '"o.x"', '"0"', '"*"', '"*.k"', '"a.b"', '"a~1b"', '"o"', '"arr"', '""', '"missing"', '"k"', '"b.c.0"', '"objs.*.v"')
piece = pick(string, quoted('a', 'l', 'o', '', 'Hello', ' ', ',', 'x', 'é', 'lo', '"'))
pattern = pick('"[a-z]+"', '"(l+)(o)?"', '""', '"(?P<a>.)"', '"^$"', '"\\\\w\\\\s"', '"(?i)HELLO"', '"(\\\\d+)"', '"[^a-z\\\\s]"', '"(?P<a>l+)(?P<b>o)?"', '"a|b|"', '"[[:alpha:]]+"', '"\\\\bw"',
               '"(?s).*"', '"é"', '"\\\\pL+"', '"(a*)*"', '"(?P<n>a)(?P<n>b)"', '"\\\\Q.\\\\E"', '"{"', '"[a&&b]"', '"$"', '"(?m)^."', '"\\\\x{e9}"',
               odd=['"("', '"a**"', '"x{2,1}"', '"\\\\C"', '"[z-a]"', '"(?P<1>a)"', '"[[:nope:]]"', '"\\\\8"', '"(?z)"', '"a{1001}"', '"[a"', '"\\\\pX"', '"(?P=n)"', '"x{1}{2}"', '"\\\\"', '")"', '"(?i"', '"*"'])
replacement = pick('"$2-$1"', '"$1x"', '""', '"<$0>"', '"${1}x"', '"$$"', '"${a}"', '"$a"', '"\\\\1"', '"é"', '"$"', '"${"')
algorithm = pick('"gzip"', '"zlib"', '"snappy"', '"flate"', '"lz4"', '"pgzip"', '"zstd"', odd=['"bzip2"', '"nope"'])
hashes = pick('"md5"', '"sha1"', '"sha256"', '"sha512"', '"xxhash64"', '"crc32"', '"fnv32"', '"hmac_sha1"', '"hmac_sha256"', '"hmac_sha512"', '"murmur3"', odd=['"nope"'])
scheme = pick('"base64"', '"hex"', '"ascii85"', '"z85"', '"base64url"', '"base64rawurl"', odd=['"nope"', '"base58"'])
iso = pick('"P1M"', '"PT5M"', '"P1Y2DT3H"', '"P1M1D"', '"P"', '"PT0.5S"', '"-P1D"', '"P1W"', odd=['"x"', '""', '"P1"', '"PT1.5M"', '"P1.5Y"', '"P-1D"'])
schema = pick('"""{"type":"object"}"""', '"""{"type":"string","minLength":2}"""', '"""{"properties":{"n":{"maximum":3},"s":{"pattern":"^H"}},"required":["q"]}"""', '"""{"items":{"type":"number"}}"""', '"""{"enum":[1,"a",null]}"""', odd=['"{"'])
key = pick('"0123456789abcdef"', odd=['"short"', '"0123456789abcdef01234567"'])
small = pick('0', '1', '2', '3', '-1', '5', '1.9', 'this.n', odd=['"2"', 'null'])
number = pick(integer, pick(*FLOATS))
anything = pick(literal, query, pick(*PATHS))
inner = pick('"root = this"', '"root.a = this.b"', '"root = this.uppercase()"', '"let x = this\\nroot.x = $x"', '"root = deleted()"', '"this.x"', odd=['"root = nope()"', '"root = content()"', '"meta a = 1"', '"root = "'])
WHOLE = {'all': [lambda_], 'any': [lambda_], 'append': [anything], 'apply': [pick('"mm"', '"show"', '"nope"', '"rec"')], 'assign': [anything], 'bitwise_and': [number], 'bitwise_or': [number], 'bitwise_xor': [number],
         'bloblang': [inner], 'catch': [pick(literal, lambda_, 'deleted()')], 'compress': [algorithm, pick('', '', small)], 'concat': [anything], 'contains': [anything], 'decode': [scheme], 'decompress': [algorithm],
         'decrypt_aes': [pick('"ctr"', '"ofb"', '"cbc"'), key, key], 'encrypt_aes': [pick('"ctr"', '"ofb"', '"cbc"'), key, key], 'diff': [anything], 'encode': [scheme], 'exists': [path], 'explode': [path],
         'filter': [lambda_], 'find': [anything], 'find_all': [anything], 'find_all_by': [lambda_], 'find_by': [lambda_], 'fold': [literal, pick('item -> item.tally', 'item -> item.tally + item.value', 'item -> item.tally.append(item.value)', 'item -> item.value', lambda_)],
         'format': [anything, pick('', anything)], 'format_json': [pick('', 'no_indent: true', '"  "', 'escape_html: false, no_indent: true', '"", false')], 'format_timestamp': [pick('', layout), ], 'format_timestamp_strftime': [strftime], 'from': [small], 'get': [path],
         'has_prefix': [piece], 'has_suffix': [piece], 'hash': [hashes, pick('', '', 'key: "k"', 'polynomial: "Castagnoli"')], 'index': [small], 'index_of': [piece], 'join': [pick('', piece)], 'json_schema': [schema], 'map': [lambda_], 'map_each': [lambda_],
         'map_each_key': [pick('k -> k.uppercase()', 'k -> "x"', lambda_)], 'merge': [anything], 'number': [pick('', '', number)], 'bool': [pick('', '', 'true')], 'timestamp': [pick('', '', *TIMES)], 'or': [anything],
         'parse_csv': [pick('', 'parse_header_row: false', 'delimiter: ";"', 'lazy_quotes: true', 'false, "|"')], 'parse_json': [pick('', '', 'use_number: true')], 'parse_timestamp': [layout], 'parse_timestamp_strptime': [strftime], 'pow': [number],
         're_find_all': [pattern], 're_find_all_object': [pattern], 're_find_all_submatch': [pattern], 're_find_object': [pattern], 're_match': [pattern], 're_replace': [pattern, replacement], 're_replace_all': [pattern, replacement], 'repeat': [small],
         'replace': [piece, piece], 'replace_all': [piece, piece], 'replace_all_many': [pick('["a","b","l","L"]', '["a"]', '[]', '[1,2]', anything)], 'replace_many': [pick('["a","b","l","L"]', anything)], 'slice': [small, pick('', small)],
         'sort': [pick('', '', 'c -> c.left > c.right', 'c -> c.left.string() < c.right.string()')], 'sort_by': [lambda_], 'split': [piece, pick('', '', 'true')], 'trim': [pick('', '', piece)], 'trim_prefix': [piece], 'trim_suffix': [piece],
         'ts_add_iso8601': [iso], 'ts_sub_iso8601': [iso], 'ts_format': [pick('', layout), pick('', zone)], 'ts_parse': [layout], 'ts_round': [pick('"1h".parse_duration()', '60000000000', '1', '0', '-5', integer)], 'ts_strftime': [strftime, pick('', zone)],
         'ts_strptime': [strftime], 'ts_sub': [pick(literal, *TIMES)], 'ts_tz': [zone], 'unique': [pick('', '', lambda_)], 'uuid_v5': [pick('', '"dns"', '"url"', '"oid"', '"nope"', '"ba2f4d5e-0c2d-4d9e-9f3e-0a1b2c3d4e5f"')], 'collapse': [pick('', 'include_empty: true', 'false')],
         'with': [path, pick('', path)], 'without': [path, pick('', path, '"s"')], 'zip': [anything], 'parse_xml': [pick('', 'cast: true')], 'format_xml': [pick('', 'no_indent: true', 'root_tag: "r"')], 'patch': [anything], 'json_path': [quoted('$.a', '$..k', '$.*')],
         'strip_html': [pick('', '["a"]')], 'slug': [pick('', '"de"')], 'unicode_segments': [quoted('grapheme', 'word', 'sentence')], 'vector': []}
# Without a parameter.
BARE = ('abs array bytes capitalize ceil cos enumerated escape_html escape_url_path escape_url_query filepath_join filepath_split flatten float32 float64 floor format_msgpack format_timestamp_unix '
        'format_timestamp_unix_micro format_timestamp_unix_milli format_timestamp_unix_nano format_yaml from_all infer_schema int16 int32 int64 int8 key_values keys length log log10 lowercase max min not '
        'not_empty not_null parse_duration parse_duration_iso8601 parse_form_url_encoded parse_logfmt parse_msgpack parse_url parse_yaml quote reverse round sin squash string sum tan ts_unix ts_unix_micro '
        'ts_unix_milli ts_unix_nano type uint16 uint32 uint64 uint8 unescape_html unescape_url_path unescape_url_query unquote uppercase values').split()
METHODS = {**WHOLE, **{name: [] for name in BARE}}
FUNCTIONS = {'range': [small, pick('5', '3', small), pick('', '', small)], 'throw': [string], 'bytes': [pick('0', '1', '3')], 'content': [], 'json': [pick('', path)], 'meta': [pick('', '"k"', '"none"')], 'metadata': [pick('', '"k"', '"none"')],
             'root_meta': [pick('', '"k"')], 'error': [], 'errored': [], 'batch_index': [], 'batch_size': [], 'pi': [], 'deleted': [], 'nothing': [], 'tracing_id': [], 'var': [pick('"v0"', '"none"')], 'error_source_name': [],
             'with_schema_registry_header': [small, string], 'counter': [pick('', '', 'min: 1, max: 3')], 'env': [quoted('HOME_OF_NOBODY')]}
NAMES = {'repeat': ['count'], 'replace_all': ['old', 'new'], 'slice': ['low', 'high'], 'range': ['start', 'stop', 'step'], 'split': ['delimiter'], 'ts_format': ['format', 'tz'], 'index': ['index'], 'get': ['path'], 'fold': ['initial', 'query'], 'map_each': ['query'], 're_replace_all': ['pattern', 'value']}
OPERATORS = ['+', '-', '*', '/', '%', '==', '!=', '<', '<=', '>', '>=', '&&', '||', '|']


class Generator:
    """Mappings of valid syntax, mostly."""

    def __init__(self, seed, methods, functions, only=None, scope='mapping'):
        self.r, self.methods, self.functions, self.only, self.scope = random.Random(seed), sorted(methods), sorted(functions), only, scope
        self.names, self.variables = [], []

    def base(self):
        r, choice = self.r, self.r.random()
        if self.names and choice < .25:
            return r.choice(self.names).replace('_', 'this') + r.choice(['', '', '.x', '.k', '.value', '.0'])
        if choice < .62:
            return r.choice(PATHS)
        if choice < .68 and self.variables:
            return '$' + r.choice(self.variables)
        if choice < .72:
            return r.choice(['@', '@k', '@"k"', 'root', 'root.a', 'root.a.b', '$none', '@none', '@n'])
        if choice < .76:
            return self.call(r.choice(self.functions), FUNCTIONS)
        return literal(self)

    def call(self, name, table):
        args = [arg(self) if callable(arg) else arg for arg in table[name]]
        args = [arg for arg in args if arg != '']
        named = NAMES.get(name)
        if named and args and self.r.random() < .15:
            pairs = [f'{label}: {arg}' for label, arg in zip(named, args)]
            self.r.shuffle(pairs)
            args = pairs
        if args and self.r.random() < .02:
            args.pop() if self.r.random() < .5 else args.append('1')
        return f'{name}({", ".join(args)})'

    def chain(self):
        base = self.base() if self.r.random() < .8 else self.expr(1)
        if not re.match(r'^[\w@$."*]+$', base) or base[0] in '-"0123456789':
            base = f'({base})'
        for _ in range(self.r.choice([1, 1, 1, 2, 2, 3])):
            if self.r.random() < .06:
                base += self.r.choice(['.a', '.0', '.x.y', '."*"', '.(this)', f'.({lambda_(self)})', '."a.b"', f'.({self.expr(1)})'])
            else:
                name = self.only if self.only and self.r.random() < .5 else self.r.choice(self.methods)
                dot = self.r.choice(['.'] * 19 + ['.\n  '])
                base += dot + self.call(name, METHODS)
        return base

    def expr(self, depth):
        r = self.r
        if depth <= 0:
            return self.base()
        inner = lambda: self.expr(depth - 1)
        k = r.random()
        if k < .5:
            return self.chain()
        if k < .6:
            return f'({inner()} {r.choice(OPERATORS)} {inner()})'
        if k < .68:
            text = self.base()
            for _ in range(r.choice([1, 2, 3])):
                text += f' {r.choice(OPERATORS)}{r.choice([" "] * 9 + [chr(10) + "    "])}{self.base() if r.random() < .7 else self.chain()}'
            return text if r.random() < .5 else f'({text})'
        if k < .71:
            return f'!{self.chain()}'
        if k < .73:
            return f'-{self.base()}' if r.random() < .5 else f'(-{self.chain()})'
        if k < .79:
            text = f'if {inner()} {{ {inner()} }}'
            if r.random() < .3:
                text += f' else if {inner()} {{ {inner()} }}'
            return f'({text} else {{ {inner()} }})' if r.random() < .7 else f'({text})'
        if k < .86:
            target = '' if r.random() < .15 else inner() + ' '
            case = lambda: r.choice([literal, literal, lambda g: g.expr(1), lambda g: 'this.length() > 1', lambda g: 'this == "a"', lambda g: 'y -> y == 1' if 'y' not in g.names else 'true', lambda g: 'this.type() == "string"'])(self)
            cases = [f'{case()} => {inner()}' for _ in range(r.choice([1, 2, 2]))]
            if r.random() < .75:
                cases.append(f'_ => {inner()}')
            return f'(match {target}{{\n  ' + '\n  '.join(cases) + '\n})' if r.random() < .5 else f'(match {target}{{ ' + ', '.join(cases) + ' })'
        if k < .91:
            return '[' + ', '.join(inner() for _ in range(r.choice([0, 1, 2, 3]))) + ']'
        if k < .96:
            name = lambda: r.choice(['"a"', '"b"', '"a b"', '"z"', '"é"']) if r.random() < .9 else f'({inner()})' if r.random() < .5 else 'this.s'
            return '{' + ', '.join(f'{name()}: {inner()}' for _ in range(r.choice([0, 1, 2]))) + '}'
        return self.base()

    def statement(self, depth=1, inside=False):
        r, k = self.r, self.r.random()
        guarded = lambda text, fallback: f'({text}).catch({fallback})' if r.random() < .8 else text
        value = lambda: guarded(self.expr(r.choice([1, 2, 2])), 'err -> "E:" + err')
        condition = lambda: guarded('(' + guarded(self.expr(1), 'null') + ').bool(false)' if r.random() < .9 else self.expr(1), 'false')
        if k < .62 or depth == 0:
            return f'{r.choice(PLACES)} = {value()}'
        if k < .72:
            name = r.choice(['v0', 'v1', 'v2'])
            text = f'let {name} = {value()}'
            self.variables = sorted({*self.variables, name})
            return text
        if k < .84 and inside != 'map':
            return f'meta {r.choice(["k", "n", "new", chr(34) + "a b" + chr(34)])} = {value()}' if r.random() < .85 else f'meta = {value()}'
        if k < .87:
            return f'# {r.choice(["a comment", "é", "root = 1"])}'
        body = lambda: '\n'.join('  ' + self.statement(depth - 1, inside) for _ in range(r.choice([1, 2])))
        text = f'if {condition()} {{\n{body()}\n}}'
        if r.random() < .3:
            text += f' else if {condition()} {{\n{body()}\n}}'
        return text + (f' else {{\n{body()}\n}}' if r.random() < .4 else '')

    def mapping(self):
        r = self.r
        self.names, self.variables = [], []
        if r.random() < .08:
            return self.expr(2)
        text = ''
        for name in ('mm', 'rec', 'show'):
            if r.random() < .2:
                saved, self.variables = self.variables, []
                text += f'map {name} {{\n' + '\n'.join('  ' + self.statement(1, 'map') for _ in range(r.choice([1, 2]))) + '\n}\n'
                self.variables = saved
        lines = [self.statement() for _ in range(r.choice([1, 1, 2, 3, 4]))]
        if r.random() < .5:
            lines.insert(0, r.choice(['root = this', 'root = this', 'root = {}', 'let v0 = this.o', 'root = @', 'let v0 = this.arr', 'root.arr = this.arr']))
            self.variables = ['v0']
        if r.random() < .3 and self.scope == 'mapping':
            lines.append('root = {"root": root, "meta": @}')
        text += '\n'.join(lines) + ('\n' if r.random() < .3 else '')
        if r.random() < .02:
            at = r.randrange(len(text))
            text = text[:at] + r.choice(['', ' ', '\n', '(', ')', '.', '"', '{', 'é', '=', '-']) + text[at + 1:]
        return text

    def document(self):
        r = self.r
        w = lambda *options: r.choice(options)
        if r.random() < .04:
            return w('', '{', 'not json', '"text"', '5', 'null', '[1,2,{"a":3}]', '[]', '{"a":1} x', '{"a":"\\ud800"}', '{"s":"\ufffd"}', '1.50', 'true', '{"a":1,"a":2}')
        members = {
            'id': w('"a-1"', '7', 'null'), 'n': w('5', '"5"', '0', '1', '5.0', '1e3', '-7'), 'f': w('2.5', '1e3', '0.1', '1.50', '-0', '0.0', '1e400', '1E+2'), 'neg': w('-3', '0', '-2.5'),
            'big': w('253402300799', '1.5', '1234567890', '9223372036854775808', '18446744073709551615', '9007199254740993', '123456789012345678901234567890'), 's': w('"Hello World"', '"x"', '"hello, hello"', '"a<b>&c"'),
            'e': w('""', '" "', '"\\t"'), 'b': w('true', 'false'), 'z': w('null', '{}', '0', '[]'), 'arr': w('[3,1,2]', '[]', '[1.5,2,"x"]', '[1,1.0,"1",true]'), 'mix': w('[1,"a",null,{"x":1}]', '["b","a"]'),
            'objs': w('[{"k":"a","v":1},{"k":"b","v":2},{"k":"a","v":3}]', '[]', '{"p":{"k":1},"q":2}'), 'o': w('{"x":1,"y":{"z":"deep"},"w":[1,2]}', 'null', '{"x":"1","y":[]}'),
            'ts': w('"2024-02-29T12:34:56.789Z"', '"2021-01-01T00:00:00+02:00"', '"1999-12-31T23:59:59.999999999Z"', '1600000000.5', '1700000000', '-1.5'), 'num': w('"42"', '"1.5e3"', '"-0"', '"0x1F"', '"1_000"', '" 5"'),
            'uni': w('"héllo wörld ✓"', '"<a&b>"', '"ß İ ǆ"', '"\\u0041\\u00e9\\ud83d\\ude00"', '"\\u2028x\\u0001"'), 'url': w('"http://u:p@h:80/a%2Fb?q=1#f"', '"/x y"', '"a%zz"', '"mailto:a@b"'),
            'xs': w('"eGl6"', '"616263"', '"a=1 b=\\"c d\\""', '"<a b=\\"1\\">x<c/></a>"'), 'raw': w('"iVBORw=="', '"%41+b"', '"a,b\\n\\"1\\",2"', '"P3DT4H"', '"1h30m"'), 'a.b': w('1', '{"c":2}'), 'dup': '1,"dup":{"y":2}', 'deep': '{"l":[{"m":[[[1]]]}]}',
        }
        keys = list(members)
        if r.random() < .3:
            keys = r.sample(keys, r.randrange(len(keys)))
        blank = w('', '', ' ')
        return '{' + (',' + blank).join(f'"{key}":{blank}{members[key]}' for key in keys) + '}'


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))


class Reference:
    """The reference's `blobl server`, started again when a mapping has killed it."""

    def __init__(self, binary, port):
        self.binary, self.port, self.process = binary, port, None
        self.start()

    def start(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = subprocess.Popen([self.binary, 'blobl', 'server', '--no-open', '--port', str(self.port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=limits, env={**os.environ, 'TZ': 'UTC'})
        for _ in range(200):
            try:
                return self.ask('root = 1', '')
            except OSError:
                time.sleep(.05)
        sys.exit('the reference does not serve')

    def ask(self, mapping, document):
        body = json.dumps({'mapping': mapping, 'input': document}).encode()
        with urllib.request.urlopen(urllib.request.Request(f'http://127.0.0.1:{self.port}/execute', body), timeout=20) as answer:
            return json.loads(answer.read())

    def answer(self, mapping, document):
        """`None` where it panics or never ends."""
        try:
            got = self.ask(mapping, document)
        except Exception:
            try:
                self.ask('root = 1', '')
            except Exception:
                self.start()
            return None
        if got['parse_error']:
            return 'PARSE ' + re.sub(r'^failed to parse mapping: ', '', got['parse_error']).split('\n')[0].strip()
        return 'ERROR ' + got['mapping_error'] if got['mapping_error'] else 'OK ' + got['result']


def weir_answer(binary, mapping, document):
    run = subprocess.run([binary, 'blobl', '--pretty', '--max-token-length', '10000000', '--', mapping], input=document.encode() + b'\n', capture_output=True,
                         timeout=60, env={**os.environ, 'TZ': 'UTC'}, preexec_fn=limits)
    out, err = run.stdout.decode(errors='replace'), run.stderr.decode(errors='replace')
    if run.returncode < 0 or 'panicked' in err:
        return f'CRASH {run.returncode} {err[-300:]}'
    if 'failed to parse mapping: ' in err:
        return 'PARSE ' + err[err.index('failed to parse mapping: ') + 25:].split('\n')[0].strip()
    if err:
        return 'ERROR ' + err.replace('failed to execute map: ', '', 1).rstrip('\n')
    return 'OK ' + out.removesuffix('\n')


def alike(left, right):
    """Whether two answers say the same: JSON by its value, numbers by their text."""
    if left == right:
        return True
    if not (left.startswith('OK ') and right.startswith('OK ')):
        return False
    try:
        values = [json.loads(text[3:], parse_int=str, parse_float=str) for text in (left, right)]
    except ValueError:
        return False
    return values[0] == values[1]


def reason(mapping, left, right):
    for text, *fits in KNOWN:
        if all(fit is None or re.search(fit, part, re.S) for fit, part in zip(fits, (mapping, left, right))):
            return text
    return None


def indent(text, by):
    return '\n'.join(' ' * by + line for line in text.split('\n'))


def stream(cases):
    """A config in which each case is a branch: a mutation, a mapping or a field, over a batch of three."""
    documents = [case[2] for case in cases[:3]]
    config = 'http: { enabled: false }\nlogger: { level: "OFF" }\ninput:\n  generate:\n    count: 1\n    interval: ""\n    mapping: |\n'
    config += indent('root = """[' + ','.join(documents) + ']""".parse_json(use_number: true)', 6) + '\npipeline:\n  threads: 1\n  processors:\n    - unarchive: { format: json_array }\n    - mapping: |\n'
    config += indent('root = {"doc": this}\nmeta k = "k" + batch_index().string()\nmeta n = batch_index()', 8) + '\n'
    for n, (kind, text, _) in enumerate(cases):
        config += f'    - branch:\n        request_map: |\n          root = this.doc\n        processors:\n'
        if kind == 'field':
            config += '          - try:\n              - insert_part:\n                  index: -1\n                  content: ' + json.dumps(text, ensure_ascii=False) + '\n              - select_parts: { parts: [ -1 ] }\n'
        else:
            config += f'          - {kind}: ' + json.dumps(text, ensure_ascii=False) + '\n'
        config += '          - mapping: |\n' + indent('root = {"c": content().string(), "e": error(), "m": metadata()}', 14) + '\n          - catch: []\n'
        config += f'        result_map: root.r{n} = this\n    - catch: [ {{ mapping: "root = this\\nroot.e{n} = error()" }} ]\n'
    return config + '    - mapping: root = this.without("doc")\noutput:\n  stdout: {}\n'


def run_stream(binary, config):
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write(config)
        file.flush()
        weir = 'weir' in os.path.basename(binary)
        command = [binary, 'run', '--chilled', file.name] if weir else [binary, '--chilled', '-c', file.name]
        run = subprocess.run(command, capture_output=True, timeout=40, env={**os.environ, 'TZ': 'UTC'}, preexec_fn=limits)
    lines = []
    for line in run.stdout.decode(errors='replace').splitlines():
        try:
            lines.append(json.loads(line, parse_int=str, parse_float=str))
        except ValueError:
            pass
    return lines, run.stderr.decode(errors='replace') + run.stdout.decode(errors='replace')[-500:]


def main():
    args = argparse.ArgumentParser()
    args.add_argument('weir')
    args.add_argument('reference')
    args.add_argument('--seed', type=int, default=1)
    args.add_argument('--count', type=int, default=20000)
    args.add_argument('--jobs', type=int, default=2)
    args.add_argument('--port', type=int, default=14231)
    args.add_argument('--mode', choices=['mapping', 'stream', 'all'], default='all')
    args.add_argument('--only')
    args = args.parse_args()
    references = [Reference(args.reference, args.port + n) for n in range(args.jobs)]
    known = lambda text: 'unrecognised' not in references[0].answer(text, '{}')
    methods = [name for name in METHODS if known(f'root = this.{name}()')]
    functions = [name for name in FUNCTIONS if known(f'root = {name}()')]
    print(f'{len(methods)} methods, {len(functions)} functions', file=sys.stderr)
    tally, reasons = collections.Counter(), collections.Counter()

    def report(kind, mapping, document, left, right):
        why = reason(mapping, left, right)
        reasons[why] += 1
        if why is None:
            print(json.dumps({'kind': kind, 'mapping': mapping, 'doc': document, 'reference': left[:2000], 'weir': right[:2000]}, ensure_ascii=False), flush=True)

    def mappings(job):
        g = Generator(args.seed * 1000003 + job, methods, functions, args.only)
        for _ in range(50):
            mapping, document = g.mapping(), g.document()
            left = references[job % args.jobs].answer(mapping, document)
            if left is None:
                tally['reference panics or hangs'] += 1
                right = weir_answer(args.weir, mapping, document)
                if right.startswith('CRASH'):
                    report('mapping', mapping, document, 'PANIC', right)
                continue
            tally[left.split(' ')[0]] += 1
            try:
                right = weir_answer(args.weir, mapping, document)
            except subprocess.TimeoutExpired:
                right = 'TIMEOUT'
            if not alike(left, right):
                report('mapping', mapping, document, left, right)

    def streams(job):
        g, cases = Generator(args.seed * 7000003 + job, methods, functions, args.only, 'stream'), []
        while len(cases) < 20:
            kind = g.r.choice(['mutation', 'mutation', 'mapping', 'field'])
            document = g.document()
            try:
                if json.loads(document) is None:
                    continue
            except ValueError:
                continue
            if kind == 'field':
                g.names, g.variables = [], []
                query = g.expr(2)
                text = g.r.choice(['', 'a ', '$']) + '${! ' + query + ' }' + g.r.choice(['', ' z', '${! this.n }'])
                # Where a mapping may stand a field may too, but for root and variables.
                if '\n' in query or '}' in query or '$' in query or (references[job % args.jobs].answer('root = ' + query, '{}') or 'PARSE').startswith('PARSE'):
                    continue
            else:
                text = g.mapping()
                if '${' in text or '\t' in text or (references[job % args.jobs].answer(text, '{}') or 'PARSE').startswith('PARSE'):
                    continue
            cases.append((kind, text, document))
        config = stream(cases)
        try:
            left = run_stream(args.reference, config)
        except subprocess.TimeoutExpired:
            left = ([], '')
        right = run_stream(args.weir, config) if left[0] else ([], '')
        tally['streams'] += len(cases)
        if not left[0]:
            tally['streams that the reference cannot run'] += len(cases)
            return
        if len(left[0]) != len(right[0]):
            report('stream', config, '', str(len(left[0])) + ' ' + left[1][-600:], str(len(right[0])) + ' ' + right[1][-600:])
        for at, (one, other) in enumerate(zip(left[0], right[0])):
            for n, (kind, text, _) in enumerate(cases):
                for name in (f'r{n}', f'e{n}'):
                    a, b = one.get(name), other.get(name)
                    if a != b and not (a and b and isinstance(a, dict) and isinstance(b, dict) and a.get('e') == b.get('e') and a.get('m') == b.get('m') and alike('OK ' + a['c'], 'OK ' + b['c'])):
                        report(kind, text, [case[2] for case in cases[:3]][at], json.dumps(a, ensure_ascii=False), json.dumps(b, ensure_ascii=False))

    def guarded(work):
        def run(job):
            try:
                work(job)
            except Exception as error:
                print(f'job {job}: {error!r}', file=sys.stderr)
        return run

    share = {'mapping': (1, 0), 'stream': (0, 1), 'all': (.8, .2)}[args.mode]
    for work, part, size in zip((mappings, streams), share, (50, 20)):
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(guarded(work), range(int(args.count * part) // size)))
    for one in references:
        one.process.kill()
    print(dict(tally), {str(why): count for why, count in reasons.items()}, 'DISAGREEMENTS', reasons[None], file=sys.stderr)


signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
main()
