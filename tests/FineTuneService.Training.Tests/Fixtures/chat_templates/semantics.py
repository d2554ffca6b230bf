# Writes semantics.jsonl: what Jinja2 makes of small templates, set up as transformers does. Usage: python3 semantics.py > semantics.jsonl
import datetime
import json

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_write"), [], [], body).set_lineno(line)

    def _write(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise RuntimeError(message)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = lambda form: datetime.datetime(2026, 1, 5, 9, 5, 7).strftime(form)

VARIABLES = {
    "s": "  Hello, wörld 😀 it's \"me\"\n", "e": "", "a": "a,b,,c", "n": 7, "neg": -7, "f": 2.5, "z": 0, "big": 12345678901234567890, "t": True, "nil": None,
    "l": [3, 1, 2], "m": [1, "x", None, True, 2.0, [1], {"k": "v"}], "d": {"b": 1, "a": 2, "items": 3, "C": {"x": [1, 2]}},
    "people": [{"name": "Bo", "age": 30, "tags": ["x"]}, {"name": "al", "age": 5}, {"name": "Cy", "age": 30, "tags": []}],
    "html": "<b>&'\"</b>", "lines": "one\ntwo\r\n\nthree", "md": "# T\n\n- a\n- b",
    "floats": [0.1, 1e15, 1e16, 123456789012345680.0, 1e-4, 1e-5, 1.5e300, 100.0, -0.0, 3.14159],
}

EXPRESSIONS = r"""
s | s|trim | s.strip() | s|length | s[2:7] | s[::-1] | s[-4] | s[15] | s[99] | s.split() | s.split('l') | a.split(',') | a.split(',', 1) | a.split(',')[-1] | a.rsplit(',', 1) | ' a  b  c '.split(none, 1)
a.replace(',', ';') | a.replace(',', ';', 2) | 'aaa'.replace('', '-') | 'aaa'|replace('a', 'b', 2) | 'x'.join(['1', '2']) | 'abc'.find('c') | '😀c'.find('c') | 'abc'.index('z') | 'banana'.count('an') | 'banana'.rfind('an')
lines.splitlines() | lines.splitlines(true) | 'abc'.startswith('a') | 'abc'.endswith(('x', 'c')) | 'abc'.startswith('b', 1) | 'abc'.removeprefix('a') | 'abc'.removesuffix('bc') | 'a-b'.partition('-') | 'a-b-c'.rpartition('-') | 'ab'.partition('-')
'xxabxx'.strip('x') | 'xxabxx'.lstrip('x') | 'xyabxy'.rstrip('xy') | '\n\t a \n'.strip('\n') | 'hello world'.title() | "it's-a"|title | 'hELLO wORLD'|capitalize | 'hELLO'.capitalize() | 'straße'.upper() | 'ABC'|lower | 'aBc'.swapcase()
'12'.isdigit() | ''.isdigit() | 'ab1'.isalnum() | 'ab1'.isalpha() | ' '.isspace() | 'Ab'.isupper() | 'AB1'.isupper() | '5'.zfill(3) | '-5'.zfill(4) | 'a'.ljust(3, '.') | 'a'.rjust(3) | 'ab'.center(6, '*')
1 + 2 * 3 | 7 // 2 | neg // 2 | neg % 3 | 7 % -3 | 7 / 2 | 6 / 2 | 2 ** 10 | 2 ** -1 | -2 ** 2 | 7.5 // 2 | -7.5 % 2 | 1 / 0 | 1 % 0 | t + 1 | 'a' * 3 | 3 * [1] | [1] + [2] | (1,) + (2,) | 'a' + 1 | [1] + (2,) | -f | +n | - 'a' | 10 - 2 - 3
1 == 1.0 | t == 1 | 'a' == 'a' | [1] == (1,) | [1, [2]] == [1, [2]] | {'a': 1} == {'a': 1.0} | nil == false | 1 < 2 < 3 | 1 < 3 < 2 | 'a' < 'b' | 'a' < 1 | [1, 2] < [1, 3] | 2 <= 2.0 | 'é' > 'z' | missing == missing2 | nil < 1 | '😀' > '\ufffd'
1 in [1, 2] | 'a' in 'abc' | 'b' not in {'a': 1} | 1 in 'abc' | none in [none] | 1 in missing | 'x' in none | 1 in (1, 2) | 'k' in m[6] | [1] in [[1]] | 2 in 5
missing | missing.x | missing[0] | missing + 'a' | 'a' + missing | 'a' ~ missing ~ 1 | missing|length | missing|upper | not missing | d.missing | d.missing.x | missing() | missing|default('x') | e|default('x') | e|default('x', true) | none|default('x') | nil.x | nil.x.y | missing is defined | d.zzz is undefined | missing < 1 | -missing | missing|join | missing|list | missing|first | missing|int
nil | t | z | f | big | m | d | (1,) | () | [] | {} | (1, 'a') | [missing] | floats | floats|string | 1.0 | 100000000000000000000 | 1e5 | 1.5e-7 | 0x1f | 0b101 | 1_000 | 'tab\there' | ['tab\t', 'nl\n', "q'", 'q"', "b\\", '\x01\x7f', 'é\u00a0\u200b', '😀', "both'\""] | "a" 'b' "c"
d.b | d['b'] | d.items is callable | d['items'] | d.items() | d.keys()|list | d.values()|list | d.get('b') | d.get('q') | d.get('q', 5) | d.C.x[1] | d.C['x'][-1] | d['C'].x.0 | l[1:] | l[:-1] | l[::-1] | l[5] | l[-1] | l['a'] | l.append | l.append(1) | d.update({}) | d.pop('b') | l.index(2) | l.count(1) | l[1:99] | l[-99:2] | l[::2] | n[0] | n[1:] | 'abc'[1:][0] | l[none:2] | s['a':] | l[::0] | d[1:] | s.upper is callable | s.__class__ | s.__class__.x | d.__len__ | (1, 2)[0]
l|sort | l|sort(reverse=true) | ['b', 'A', 'c']|sort | ['b', 'A', 'c']|sort(case_sensitive=true) | people|sort(attribute='age')|map(attribute='name')|list | people|map(attribute='name')|join(', ') | people|map(attribute='tags', default=0)|list | people|map(attribute='zip')|list | ['a', 'b']|map('upper')|list | people|selectattr('tags')|map(attribute='name')|list | people|selectattr('age', 'equalto', 30)|map(attribute='name')|list | people|rejectattr('tags', 'defined')|map(attribute='name')|list | people|selectattr('age', '>', 10)|list|length | [1, 2, 3]|select('odd')|list | [0, 1]|select|list | [1, 2, 3]|reject('even')|list | [1]|map('nope')|list | l|select('nope')|list
d|dictsort | d|dictsort(by='value') | {'b': 1, 'a': 2}|dictsort(reverse=true) | {'b': 1, 'a': 2}|dictsort(by='value') | [1, 1, 2]|unique|list | ['a', 'A']|unique|list | l|min | l|max | ['b', 'A']|min | [1, 2]|sum | people|sum(attribute='age') | l|first | l|last | []|first | []|last | 'abc'|first | 'abc'|reverse | l|reverse|list | l|join('-') | l|join | 'abc'|join('.') | [1, none, 'x']|join('|') | [1, 2, 3]|batch(2)|list | [1, 2, 3]|batch(2, 0)|list | d|list | 'ab'|list | n|list | none|list | d|items|list | l|items|list | none|length | n|length | 'é😀'|length | d|length
'12'|int | '12.7'|int | 'x'|int | 'x'|int(5) | '0x1f'|int(base=16) | f|int | none|int | t|int | ' 7 '|int | '1.5'|float | 'x'|float | 'x'|float(1.5) | 2.567|round(2) | 2.5|round | 3.5|round | 2.1|round(method='ceil') | 2.9|round(0, 'floor') | 7|round | neg|abs | 'a'|abs | n|string | n|string|length | '%s-%d' % ('a', 5) | '%05.1f|%-4s|%+d|%x' % (3.14159, 'a', 5, 255) | '%s' % 'x' | '%s' % [1] | '%(a)s' % {'a': 1} | '%d' % 'x' | '%s %s' % 'x' | '%s' % (1, 2) | '%%' % () | '%s %d'|format('a', 1) | '%r' % 'a' | '%e' % 12345.678 | '%g' % 0.00001 | '%g' % 1234567 | '%g' % 100000 | '%5.2f%%' % 12.345
'{} {}'.format(1, 'a') | '{1} {0}'.format(1, 2) | '{x:>5}|{x:<5}|{x:^5}'.format(x='ab') | '{:05d}'.format(42) | '{:.2f}'.format(3.14159) | '{:,}'.format(1234567) | '{{}}'.format() | '{:x}'.format(255) | '{}'.format(1.0) | '{!r}'.format('a') | '{}'.format() | '{:.1%}'.format(0.256) | '{:+d}'.format(5) | '{:*^7}'.format('a') | '{:e}'.format(1500.0)
html|safe | html|escape | html|e | '<' + html|safe | html|safe + '<' | (html|safe) ~ '<' | html|safe|length | html|safe|string + '<' | html|safe is string | html|safe|upper | (html|safe).upper() + '<' | html|safe == html | [html|safe] | 'a' in html|safe | html|safe|trim + '<' | html|safe * 2
m|tojson | d|tojson | d|tojson(indent=2) | []|tojson(indent=2) | {}|tojson(indent=4) | [[], {}]|tojson(indent=1) | html|tojson | s|tojson | '\x01\x7f\u2028\b\f/é'|tojson | 'é😀'|tojson(ensure_ascii=true) | floats|tojson | {'b': 1, 'a': [1, 2]}|tojson(sort_keys=true) | {'b': 1}|tojson(separators=(',', ':')) | missing|tojson | (1, 2)|tojson | {1: 2, none: 3, true: 4}|tojson | big|tojson | none|tojson | d|tojson(indent='--') | 'x'|tojson|safe
n is odd | n is even | n is divisibleby 7 | n is divisibleby(2) | n is number | t is number | t is integer | t is boolean | f is float | s is string | s is iterable | s is sequence | d is mapping | d is iterable | d is sequence | l is sequence | l is mapping | n is iterable | nil is none | nil is iterable | missing is iterable | missing is sequence | missing is string | z is false | z is not none | t is true | 1 is true | n is eq 7 | n is gt 5 | n is in [7] | 'a' is lower | 'A' is upper | n is sameas n | n is callable | range is callable | n is nope | n is ge(7) and n is le(7) | 'upper' is filter | not n is none | n is not none and t | none is not defined
1 if t | 1 if not t | 1 if not t else 2 | (1 if z else 2) if t else 3 | t and 'x' | z or 'y' | z and 'x' | not z | nil or e or 'last' | 'a' if 1 == 1 and not z else 'b' | 1 if z else 2 if z else 3
range(3)|list | range(1, 7, 2)|list | range(3, 0, -1)|list | range(0)|list | range(3)[1] | range(2.5) | range(100001) | dict(a=1)|tojson | dict({'a': 1}, b=2)|tojson | namespace(a=1).a | namespace(a=1).b | strftime_now('%Y-%m-%d %H:%M:%S') | strftime_now('%d %b %Y, %A %B %j %-d %e %I %p %y %%') | strftime_now('%U %W %V %G %u %w %F %T %D %c %x %X') | raise_exception('no') | raise_exception('a' ~ 1) | nope(1) | n(1) | d.b(1)
md|indent | md|indent(2, true) | md|indent(2, blank=true) | md|indent('> ') | 'a very long sentence with words'|truncate(12) | 'a very long sentence'|truncate(12, true) | 'short'|truncate(5) | 'a b  c'|wordcount | md|upper | d|attr('b') | 'x'|nope | 'a'|trim('a') | ' x '|trim|length | s|trim(chars=' \n') | 'ab'|replace('', '-')
[x for x in l] | l[0 | 'abc | {{ | 1 + | (1, 2 | {'a' 1} | a b | 1 ++ 2 | ** 2 | d.'x' | f(a=1, 2) | f(a=1, a=2) | 'a' is defined is none | x.y = 1 | @ | a ? b : c | `x` | not | in | a[1, 2] | f(*a, **b, c) | dict(**{'a': 1})|tojson | range(*[1, 3])|list
"""

TEMPLATES = [
    # White space: trim_blocks, lstrip_blocks, - and +, comments, raw, the last newline.
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}\n  b\n  {% endif %}\n  c", "a {%- if t %} b {% endif -%} c", "a\n  {%+ if t %}b{% endif +%}\nc", "  {{ 1 }}  \n", "a\n\n{{- 1 -}}\n\nb",
    "a {# c #}\nb", "a\n   {# c #}\nb", "a\n   {#- c -#}\n  b", "{# a\nb #}c", "x{% raw %}\n{{ y }}{% z %}\n{% endraw %}\nw", "a  {%- raw -%}  x  {%- endraw -%}  b", "a\n  {% raw %} x {% endraw %}\nb", "\n\n", "a\n\n", "a\r\nb\r\n",
    "\t{% if t %}x{% endif %}", "x \t{% if t %}y{% endif %}", "{% if t %}\n  {% if t %}\n x\n  {% endif %}\n{% endif %}\n", "{{ 'a' }}\n{{ 'b' }}\n", "{{ 'a' -}}\n   b", "{% set x = 1 %}\n\n{% set y = 2 %}\n{{ x }}{{ y }}", "{%- set x = 1 -%}\n\n  {{ x }}",
    "{{ '{{' }}{{ '%}' }}", "{{ {'a': {'b': 1}}.a.b }}", "{{ {'a': {'b': 1}}}}", "{ {% if t %}{{% endif %}", "{{ 1 }}{# x #}{{ 2 }}", "a{#-x-#} b", "  {#- x #}\n  b", "{%if t%}a{%endif%}", "{%- if t -%}\n a \n{%- endif -%}", "{{- 1 }} {{+ 2 }}", "a\n  {%- if t +%}\n b{% endif %}", "é\u2003{%- if t %}x{% endif %}",
    # Scope.
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "{% for i in l %}{% if loop.first %}{% set x = i %}{% endif %}{{ x }},{% endfor %}", "{% if t %}{% set x = 5 %}{% endif %}{{ x }}", "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set x.y = 1 %}", "{% set x = d %}{% set x.y = 1 %}", "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set a, b = [1] %}", "{% set x = 1, 2 %}{{ x }}", "{% set x %}a{{ 1 }}b{% endset %}{{ x }}{{ x|length }}", "{% set x | upper | trim %} a{% endset %}{{ x }}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}",
    "{% for i in l %}{{ i }}{% endfor %}{{ i }}", "{% for s in l %}{{ s }}{% endfor %}{{ s|trim }}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'a😀' %}[{{ c }}]{% endfor %}", "{% for a, b in l %}{% endfor %}", "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    # Loops.
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }} {% endfor %}", "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}",
    "{% for i in l if i > 1 %}{{ i }}{{ loop.length }}{{ loop.last }} {% else %}none{% endfor %}", "{% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}", "{% for i in [] %}{% else %}e{% endfor %}", "{% for i in missing %}x{% else %}e{% endfor %}", "{% for i in none %}{% endfor %}", "{% for i in 5 %}{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% else %}no{% endfor %}", "{% for i in l %}{% for j in l %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}", "{% break %}", "{% for i in l %}{% generation %}{{ i }}{% set q = 1 %}{% endgeneration %}{{ q }}{% endfor %}", "{% for i in l %}{{ loop.nope }}{% endfor %}", "{{ loop }}", "{{ loop.index }}",
    "{% for i in l %}{% for j in [1] %}{{ loop.depth }}{% endfor %}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}", "{% for x in [1,2,3,4] if x is even %}{{ loop.index }}:{{ x }} {% endfor %}", "{% for i in 1, 2 %}{{ i }}{% endfor %}", "{% for i in (l if t else []) %}{{ i }}{% endfor %}",
    # Macros.
    "{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, c=3) }}|{{ f(b=1, a=0) }}|{{ f() }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, b=2) }}", "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ f() }}", "{% macro f() %}{% set x = 2 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ f() }}{{ x }}", "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}in{{ n }}{% endcall %}", "{% macro f() %}[{{ caller(1) }}]{% endmacro %}{% call(x) f() %}in{{ x }}{% endcall %}",
    "{% macro f(a, b=a) %}{{ b }}{% endmacro %}{{ f(4) }}", "{% macro f(x) %} a {{ x }} {% endmacro %}{{ f(1)|trim }}{{ f(1) is string }}", "{% macro f(ns) %}{% set ns.a = 5 %}{% endmacro %}{% set q = namespace(a=1) %}{{ f(q) }}{{ q.a }}", "{{ f(1) }}{% macro f(a) %}{{ a }}{% endmacro %}", "{% for i in l %}{% macro g() %}{{ i }}{% endmacro %}{{ g() }}{% endfor %}", "{% macro f(a, b=1, c) %}{% endmacro %}", "{% macro f(a) %}{{ a is defined }}{% endmacro %}{{ f() }}",
    # If, filter blocks, tags.
    "{% if z %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if z %}a{% elif z %}b{% elif t %}d{% else %}c{% endif %}", "{% if missing.x %}{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% filter upper %}a{{ 'b' }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aa{% endfilter %}", "{% if t %}{% if z %}{% endif %}", "{% endif %}", "{% nope %}", "{% if t %}{{ 1 }}{% endfor %}", "{% for %}", "{% set 1 = 2 %}", "{% set none = 2 %}", "{% if %}{% endif %}", "{{ }}", "{% if t: %}x{% endif %}",
    "{{ 'a' if missing is defined else 'b'|nope }}", "{% if z %}{{ 1|nope }}{% endif %}ok", "{% if z %}{{ 1 is nope }}{% endif %}ok", "{{ 1|nope }}", "{% if t %}{{ 1|nope }}{% endif %}", "{# open", "{% raw %}x", "{% set x %}a", "{{ 'a\\nb\\t\\x41\\u00e9\\101\\q\\'' }}", "{{ \"a\\\"b\" }}", "{{ 'line\nbreak' }}", "{{ 'a' 'b' ~ 'c' }}", "{{ 1.5.x }}", "{{ 1 .x }}", "{{ l.0 }}{{ l.1 }}", "{{ d.C.x.1 }}", "{{ (1, 2,) }}", "{{ [1, 2,] }}", "{{ {'a': 1,} }}", "{{ 1, 2 }}", "{{ -1|abs }}", "{{ (-1)|abs }}", "{{ 'a'|upper ~ 'b'|upper }}", "{{ n is defined and n > 5 or false }}", "{{ not n in l }}", "{{ n not in l }}", "{{ 2 * 3 ~ 4 + 1 }}", "{{ 1 ~ 2 + 3 }}", "{{ True }}{{ False }}{{ None }}{{ true }}{{ none }}",
]


def cases():
    for line in EXPRESSIONS.strip().split("\n"):
        for expression in line.split(" | "):
            yield "{{ " + expression + " }}"
    yield from TEMPLATES


print(json.dumps({"variables": VARIABLES}, ensure_ascii=False))
for source in cases():
    case = {"template": source}
    try:
        template = environment.from_string(source)
    except Exception as error:
        case["fails"] = "parsing"
    else:
        try:
            case["expected"] = template.render(**VARIABLES)
        except Exception as error:
            case["fails"] = "rendering"
    print(json.dumps(case, ensure_ascii=False))
