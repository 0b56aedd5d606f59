#!/usr/bin/env python3
"""Random Bloblang expressions over random documents: one binary's answers beside another's.

usage: differential.py WEIR REFERENCE SEED COUNT

Both run `blobl`; every expression that they answer differently is printed as JSON: the expression, nothing, the
reference's answer, weir's. `<`, `>` and `&` may be escaped or not.

Known to differ, and left so:
- times beyond the years -9999 to 9999 are refused as out of range;
- `.string()` and `.format_json()` of a literal `[]` are `null` there, `[]` here;
- which member of an object fails first: any there, the first by key here;
- the reference's `blobl` takes `${1}` in a mapping for an environment variable.
Known to differ, to be done:
- `capitalize` of a leading sharp s is `Ss` there;
- errors of number parsers show bytes that are no UTF-8 as `\\x..` there, as U+FFFD here.
"""
import random, subprocess, sys, json, os
from concurrent.futures import ThreadPoolExecutor
WEIR, REF, SEED, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
R=random.Random(SEED)
PATHS=['this','this.id','this.n','this.f','this.neg','this.big','this.s','this.e','this.b','this.z','this.arr','this.mix','this.objs','this.o','this.o.x','this.o.y.z','this.ts','this.num','this.uni','this.missing','this.arr.0','this.mix.3.x','this.objs.*.k','this.o.w','@m','@k','this.url','this.xs','this.bytes']
LITS=['1','0','-3','2.5','10','"a"','"Hello World"','""','true','false','null','{}','[1,2,3]','[3,"a",null]','{"a":1,"b":{"c":[1]}}','1.0','"42"','" x "','"é✓"','"<a&b>"','[[1],[2,[3]]]','"2024-02-29T12:34:56.789Z"','"1h5m"','"a,b\\n1,2"','"a: 1\\nb: [x, 2.5]"','"k=v&k=w&x"','deleted()','nothing()','pi()','"a.b.c"','9223372036854','"{\\"j\\":[1,2.50]}"','"level=info msg=\\"a b\\" x"','0.1','1e'.replace('e','0')]
STR=['"a"','"l"','"o"','""','"Hello"','" "','","','"x"','"%d"','"é"']
def lit(): return R.choice(LITS)
def lam(): 
    v=R.choice(['v','item'])
    return f"{v} -> "+R.choice([f'{v}',f'{v} + 1',f'{v}.string()',f'{v} == 1',f'{v} > 1',f'{v}.k',f'{v}.type()',f'{v}.value',f'{v}.uppercase()',f'if {v} == 2 {{ deleted() }} else {{ {v} }}',f'{v}.key',f'{v}.length() > 1','true',f'!{v}', 'this.s'])
def q(d): return R.choice([lambda:expr(d-1),lit,lambda:R.choice(PATHS)])()
INT=lambda:R.choice(['0','1','2','-1','-2','3','10','100','1.9','"2"' if R.random()<.1 else '5'])
S=lambda:R.choice(STR)
M={ 'abs':[], 'all':[lam],'any':[lam],'append':[lit],'array':[],'assign':[lit],'bitwise_and':[INT],'bitwise_or':[INT],'bitwise_xor':[INT],'bool':[],'bytes':[],'capitalize':[],'ceil':[],'collapse':[],'concat':[lit],'contains':[lit],'cos':[],
'decode':[lambda:R.choice(['"base64"','"hex"','"ascii85"','"z85"','"base64url"','"base64rawurl"'])],'encode':[lambda:R.choice(['"base64"','"hex"','"ascii85"','"z85"','"base64url"'])],'enumerated':[],'escape_html':[],'escape_url_path':[],'escape_url_query':[],'exists':[lambda:R.choice(['"a"','"o.x"','"0"','"*"'])],'explode':[lambda:R.choice(['"a"','"o"','"x"'])],'filepath_join':[],'filepath_split':[],'filter':[lam],'find':[lit],'find_all':[lit],'find_all_by':[lam],'find_by':[lam],'flatten':[],'float32':[],'float64':[],'floor':[],'fold':[lit,lambda:'item -> item.tally'],'format':[lit],'format_json':[lambda:R.choice(['','no_indent: true','"  "'])],'format_yaml':[],'get':[lambda:R.choice(['"a"','"o.x"','"0"','"*.k"','"a.b"'])],'has_prefix':[S],'has_suffix':[S],
'hash':[lambda:R.choice(['"md5"','"sha1"','"sha256"','"xxhash64"','"crc32"','"fnv32"'])],'index':[INT],'index_of':[S],'infer_schema':[],'int16':[],'int32':[],'int64':[],'int8':[],'join':[S],'keys':[],'length':[],'log':[],'log10':[],'lowercase':[],'map':[lambda:R.choice(['this','this.a','this + 1','this.x'])],'map_each':[lam],'map_each_key':[lam],'max':[],'merge':[lit],'min':[],'not':[],'not_empty':[],'not_null':[],'number':[],'or':[lit],'parse_csv':[lambda:R.choice(['','parse_header_row: false','delimiter: ";"'])],'parse_duration':[],'parse_duration_iso8601':[],'parse_form_url_encoded':[],'parse_json':[],'parse_logfmt':[],'parse_url':[],'parse_yaml':[],'pow':[INT],'quote':[],
're_find_all':[lambda:R.choice(['"[a-z]+"','"(l+)(o)?"','""','"(?P<a>.)"'])],'re_find_all_object':[lambda:'"(?P<a>l+)(o)?"'],'re_find_all_submatch':[lambda:'"(?P<a>l+)(o)?"'],'re_find_object':[lambda:R.choice(['"(?P<a>l+)(o)?"','"(\\\\d+)"'])],'re_match':[lambda:R.choice(['"[a-z]+"','"^$"','"\\\\w\\\\s"'])],'re_replace':[lambda:'"(l)(o)?"',lambda:R.choice(['"$2-$1"','"$1x"','""'])],'re_replace_all':[lambda:'"[a-z]"',lambda:R.choice(['"<$0>"','"x"'])],'repeat':[lambda:R.choice(['0','1','3','-1'])],'replace_all':[S,S],'replace_all_many':[lambda:'["a","b","l","L"]'],'reverse':[],'round':[],'sin':[],'slice':[INT,INT],'sort':[],'sort_by':[lam],'split':[S],'squash':[],'string':[],'sum':[],'tan':[],'timestamp':[],'trim':[],'trim_prefix':[S],'trim_suffix':[S],'ts_add_iso8601':[lambda:R.choice(['"P1M"','"PT5M"','"P1Y2DT3H"'])],
'ts_format':[lambda:R.choice(['"2006-01-02"','"Mon Jan _2 15:04:05.000 MST 2006"','"3:04PM"','"02/01/06 -0700"']),lambda:'"UTC"'],'ts_parse':[lambda:R.choice(['"2006-01-02T15:04:05Z07:00"','"2006-01-02"'])],'ts_round':[lambda:R.choice(['"1h".parse_duration()','60000000000'])],'ts_strftime':[lambda:R.choice(['"%Y-%m-%d %H:%M:%S"','"%b %e %j %U %A %p"','"%s %f %z"']),lambda:'"UTC"'],'ts_strptime':[lambda:'"%Y-%m-%dT%H:%M:%S"'],'ts_sub':[lambda:'"2020-01-01T00:00:00Z"'],'ts_sub_iso8601':[lambda:'"P1M1D"'],'ts_tz':[lambda:R.choice(['"UTC"','"America/New_York"'])],'ts_unix':[],'ts_unix_micro':[],'ts_unix_milli':[],'ts_unix_nano':[],'type':[],'uint16':[],'uint32':[],'uint64':[],'uint8':[],'unescape_html':[],'unescape_url_path':[],'unescape_url_query':[],'unique':[],'unquote':[],'uppercase':[],'uuid_v5':[lambda:R.choice(['"dns"','"url"',''])],'with':[lambda:R.choice(['"a"','"o.x","s"'])],'without':[lambda:R.choice(['"a"','"o.x","s"'])],'zip':[lit],
'encrypt_aes':[lambda:R.choice(['"ctr"','"ofb"','"cbc"']),lambda:'"0123456789abcdef"',lambda:'"0123456789abcdef"'],'decrypt_aes':[lambda:R.choice(['"ctr"','"ofb"','"cbc"']),lambda:'"0123456789abcdef"',lambda:'"0123456789abcdef"'],'compress':[lambda:R.choice(['"snappy"'])],'decompress':[lambda:R.choice(['"gzip"','"zlib"','"snappy"'])],'json_schema':[lambda:R.choice(['"""{"type":"object"}"""','"""{"type":"string","minLength":2}"""','"""{"properties":{"n":{"maximum":3}}}"""'])],'bloblang':[lambda:R.choice(['"root = this"','"root.a = this.b"','"root = this.uppercase()"'])],'catch':[lit],'replace':[S,S],'format_timestamp':[],'from_all':[],'apply':[lambda:'"mm"']}
NAMES=sorted(M)
OPS=['+','-','*','/','%','==','!=','<','<=','>','>=','&&','||','|']
def base(): return R.choice([lambda:R.choice(PATHS),lambda:R.choice(PATHS),lit,lambda:f'[{q(1)}, {q(1)}]',lambda:'{"a": %s, "b": %s}'%(q(1),q(1))])()
def chain(d):
    b=base()
    if b[0] not in 't@' : b=f'({b})'
    for _ in range(R.choice([1,1,1,2,2,3])):
        n=R.choice(NAMES); args=[a() for a in M[n]]; args=[a for a in args if a!='']
        b+=f'.{n}({", ".join(args)})'
    return b
def expr(d):
    if d<=0: return base()
    k=R.random()
    if k<.55: return chain(d)
    if k<.75: return f'({expr(d-1)} {R.choice(OPS)} {expr(d-1)})'
    if k<.80: return f'!{chain(1)}'
    if k<.86: return f'(if {expr(d-1)} {{ {expr(d-1)} }} else {{ {expr(d-1)} }})'
    if k<.92: return f'(match {expr(d-1)} {{ {lit()} => {expr(d-1)}, this.length() > 1 => "long", _ => {expr(d-1)} }})'
    if k<.95: return f'(-{base()})' 
    return base()
def doc():
    w=lambda *a:R.choice(a)
    return {'id':w('a-1',7,None),'n':w(5,'5',0,1),'f':w(2.5,1e3,0.1),'neg':w(-3,0,-2.5),'big':w(253402300799,1.5,1234567890),'s':w('Hello World','x','hello, hello'),'e':w('',' ','\t'),'b':w(True,False),'z':w(None,{},0),'arr':w([3,1,2],[],[1.5,2,'x']),'mix':w([1,'a',None,{'x':1}],['b','a']),'objs':w([{'k':'a','v':1},{'k':'b','v':2},{'k':'a','v':3}],[]),'o':w({'x':1,'y':{'z':'deep'},'w':[1,2]},None),'ts':w('2024-02-29T12:34:56.789Z','2021-01-01T00:00:00+02:00','1999-12-31T23:59:59.999999999Z',1600000000.5),'num':w('42','1.5e3','-0','0x1F'),'uni':w('héllo wörld ✓','<a&b>','ß İ ǆ'),'url':w('http://u:p@h:80/a%2Fb?q=1#f','/x y','a%zz'),'xs':w('eGl6','616263','a=1 b="c d"'),'bytes':w('iVBORw==','%41+b')}
def docs(n): return '\n'.join(json.dumps(doc(),ensure_ascii=R.random()<.5) for _ in range(n))+'\n'
HEAD='map show {\n  root = [this.type(), this.string()]\n}\nmap mm {\n  root.y = this.x\n  root.t = this.type()\n}\n'
def block(es,multi=False):
    return HEAD+'\n'.join(f'root.r{i} = ({e}).catch(e -> "E:" + e).apply("show")' for i,e in enumerate(es))+'\n'
def run(binary,mapping,stdin):
    p=subprocess.run([binary,'blobl',mapping],input=stdin.encode(),capture_output=True,timeout=60,env={**os.environ,'TZ':'UTC'})
    return p.stdout.decode(errors='replace'),p.stderr.decode(errors='replace')
def norm(t): return t.replace('\\u003c','<').replace('\\u003e','>').replace('\\u0026','&')
def perr(e):
    l=e.strip().split('\n')[0]
    return l[l.find('line '):] if 'line ' in l else l
def compare_one(e,d):
    m=block([e]); a=run(REF,m,d); b=run(WEIR,m,d)
    if norm(a[0])==norm(b[0]) and (a[0] or perr(a[1])==perr(b[1])): return []
    if 'panic' in a[1]: return []
    return [(e,"" if a[0] and not b[0] else "",(a[0][:200] or "PARSE "+perr(a[1])),(b[0][:200] or "PARSE "+perr(b[1])))]
def work(job):
    es,d=job; m=block(es)
    try:
        a=run(REF,m,d)
        b=run(WEIR,m,d)
    except subprocess.TimeoutExpired: return [('TIMEOUT',m,('',''),('',''))]
    if norm(a[0])==norm(b[0]) and a[0]: return []
    out=[]
    if a[0] and b[0]:
        la,lb,ld=a[0].split('\n'),b[0].split('\n'),d.split('\n')
        for x,y,dd in zip(la,lb,ld):
            if x!=y:
                try: jx,jy=json.loads(x),json.loads(y)
                except Exception: out.append((m,"",x,y)); continue
                for i,e in enumerate(es):
                    if jx.get(f'r{i}')!=jy.get(f'r{i}'): out.append((e,"",jx.get(f'r{i}'),jy.get(f'r{i}')))
        return out
    for e in es: out+=compare_one(e,d)
    return out
jobs=[([expr(2) for _ in range(25)],docs(4)) for _ in range(COUNT//25)]
seen=0; import collections
with ThreadPoolExecutor(2) as ex:
    for r in ex.map(work,jobs):
        for e in r:
            seen+=1
            print(json.dumps(e,ensure_ascii=False)[:1500])
print('DISAGREEMENTS',seen,'of',COUNT,file=sys.stderr)
