#!/usr/bin/env python3
"""Writes runtime/tokenizer/tests/fixtures/jinja.json: small templates as Jinja2 renders them in the environment of
transformers' chat templates. They cover every filter, test and global of Jinja2, its statements and operators, and the
methods of Python's strings, lists, tuples, mappings and numbers.

usage: jinja.py OUT_DIR
"""
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

VALUES = {
    "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hi <b>you</b>"}, {"role": "assistant", "content": "Yo", "n": 3}],
    "s": "The quick brown fox jumps over the lazy dog",
    "t": "  Mixed Case, with\ttabs\nand lines  ",
    "u": "Straße İstanbul ﬁ ǆ ŉ ÉCLAIR ² ٣ Ⅷ ½ 漢字 😀",
    "h": "<a href=\"x\">1 & 2</a> 'q'",
    "l": [3, 1, 2, 3, 10],
    "w": ["b", "A", "c", "B", "a"],
    "e": [],
    "d": {"b": 2, "a": 1, "C": 3, "c": {"x": [1, None, True]}},
    "o": {},
    "n": 42,
    "neg": -7,
    "f": 3.14159,
    "big": 12345678901234567890,
    "yes": True,
    "no": False,
    "none": None,
    "users": [{"name": "Zoe", "age": 3, "town": "B"}, {"name": "amy", "age": 1, "town": "A"}, {"name": "Bob", "age": 2, "town": "B"}],
    "nested": [{"a": {"b": 1}}, {"a": {"b": 5}}, {"a": {"b": 2}}],
}

FILTERS = """
{{ neg|abs }} {{ -1.5|abs }} {{ 0|abs }} {{ true|abs }}
{{ d|attr('items') is callable }} {{ s|attr('nope') is undefined }}
{{ l|batch(2)|list }} {{ l|batch(2, 'x')|list }} {{ e|batch(3)|list }}
{% for row in l|batch(3, '-') %}{{ row|join(',') }};{% endfor %}
{{ s|capitalize }} {{ 'ABC dEF'|capitalize }} {{ ''|capitalize }} {{ n|capitalize }} {{ 'éCLAIR'|capitalize }}
[{{ 'ab'|center(7) }}] [{{ 'ab'|center(6) }}] [{{ 'abc'|center(2) }}] [{{ n|center(5) }}] [{{ 'x'|center }}]
{{ l|count }} {{ s|count }} {{ d|count }} {{ e|length }} {{ 'é漢😀'|length }} {{ (1, 2)|length }}
{{ missing|d('x') }} {{ none|d('x') }} {{ ''|d('x', true) }} {{ 0|default('zero', boolean=true) }} {{ e|default(default_value='v', boolean=true) }}
{{ missing|default }}| {{ missing.field|default('deep') }} {{ missing|default(n)|abs }}
{{ d|dictsort }} {{ d|dictsort(true) }} {{ {'b': 1, 'a': 2}|dictsort(by='value') }} {{ {'b': 1, 'a': 2}|dictsort(false, 'key', true) }} {{ {'b': 1, 'a': 2}|dictsort(reverse=true) }}
{{ h|e }} {{ h|escape }} {{ n|e }} {{ none|e }} {{ l|e }} {{ h|e|e }} {{ h|safe|e }}
{{ h|forceescape }} {{ h|e|forceescape }} {{ h|safe|forceescape }}
{{ 1|filesizeformat }} {{ 999|filesizeformat }} {{ 1000|filesizeformat }} {{ 1234567|filesizeformat }} {{ 1024|filesizeformat(true) }} {{ 1234567|filesizeformat(binary=true) }} {{ 1.5|filesizeformat }} {{ '1500'|filesizeformat }}
{{ l|first }} {{ s|first }} {{ d|first }} {{ e|first }}| {{ e|first|default('none') }}
{{ '3.5'|float }} {{ 'x'|float }} {{ 'x'|float(1.5) }} {{ 3|float }} {{ '1e3'|float }} {{ none|float }} {{ 'x'|float(default=2) }} {{ ' 7 '|float }} {{ 'inf'|float }} {{ 'nan'|float }}
{{ '%s and %s'|format('a', 1) }} {{ '%(x)s-%(y)d'|format(x='p', y=3) }} {{ '%05.2f|%-5s|%5s|%x|%X|%o|%e|%g|%%'|format(3.14159, 'ab', 'cd', 255, 255, 8, 12345.678, 0.0001) }} {{ '%r %s'|format('q', l) }} {{ '%+d % d %c %i'|format(5, 5, 'c', 3) }}
{% for g in users|groupby('town') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join(',') }};{% endfor %}
{% for town, list in users|groupby('town') %}{{ town }}={{ list|length }};{% endfor %} {{ w|groupby('0', case_sensitive=true)|length }}
{% for k, v in users|groupby('nope', default='?') %}{{ k }}{{ v|length }}{% endfor %}
{{ 'a\\nb\\n\\nc'|indent }}| {{ 'a\\nb\\n\\nc'|indent(2) }}| {{ 'a\\nb\\n\\nc'|indent(2, true) }}| {{ 'a\\nb\\n\\nc'|indent(2, true, true) }}| {{ 'a\\nb'|indent('>>') }}| {{ 'a\\nb'|indent(width=1, first=true, blank=true) }}
{{ '3'|int }} {{ '3.9'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 3.9|int }} {{ -3.9|int }} {{ '0x1f'|int(base=16) }} {{ '1f'|int(0, 16) }} {{ '0b11'|int(base=2) }} {{ true|int }} {{ none|int }} {{ ' 12 '|int }} {{ '1_000'|int }} {{ none|int(default=5) }}
{{ d|items|list }} {{ o|items|list }} {{ missing|items|list }}
{{ l|join }} {{ l|join(', ') }} {{ users|join('/', attribute='name') }} {{ users|join('/', 'name') }} {{ 'abc'|join('-') }} {{ d|join(',') }} {{ e|join(',') }} {{ [1, none, true, 'x', 1.0]|join(' ') }} {{ l|join(d='+') }}
{{ l|last }} {{ s|last }} {{ e|last }}| {{ (1, 2)|last }} {{ d|last }}
{{ 'abc'|list }} {{ d|list }} {{ range(3)|list }} {{ l|reverse|list }} {{ (1, 2)|list }}
{{ 'ABC É'|lower }} {{ 5|lower }} {{ none|lower }} {{ l|lower }} {{ u|lower }}
{{ users|map(attribute='name')|list }} {{ w|map('upper')|list }} {{ users|map(attribute='nope', default='-')|list }} {{ nested|map(attribute='a.b')|list }} {{ l|map('string')|join('+') }} {{ ['a,b', 'c']|map('replace', ',', ';')|list }} {{ [[3, 1], [2]]|map('sort')|list }} {{ [[1, 2], [3, 4]]|map(attribute=1)|list }} {{ ['1', 'x']|map('int', default=9)|list }}
{{ l|max }} {{ l|min }} {{ w|max }} {{ w|min }} {{ w|max(case_sensitive=true) }} {{ users|max(attribute='age') }} {{ users|min(attribute='name') }} {{ e|max }}| {{ [1.5, 2]|max }}
{{ d|pprint }} {{ l|pprint }} {{ 'it'|pprint }} {{ none|pprint }} {{ [1, 'a', {'z': 1, 'b': (1,)}]|pprint }}
{{ [7]|random }} {{ 'x'|random }} {{ e|random }}|
{{ l|reject('odd')|list }} {{ l|reject('equalto', 3)|list }} {{ l|reject('gt', 2)|list }} {{ ['', 'x', none]|reject|list }} {{ w|reject('in', ['A', 'b'])|list }}
{{ users|rejectattr('age', 'gt', 1)|map(attribute='name')|list }} {{ messages|rejectattr('n')|list|length }} {{ messages|rejectattr('role', 'equalto', 'system')|map(attribute='role')|list }} {{ messages|rejectattr('n', 'defined')|list|length }}
{{ s|replace('quick', 'slow') }} {{ 'aaa'|replace('a', 'b', 2) }} {{ 121|replace('1', '0') }} {{ 'aaa'|replace('a', 'b', count=1) }} {{ 'abc'|replace('', '-') }}
{{ 'abc'|reverse }} {{ l|reverse|list }} {{ (1, 2)|reverse|list }} {{ d|reverse|list }} {{ 'é漢😀'|reverse }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.567|round(1, 'floor') }} {{ 2.567|round(1, 'ceil') }} {{ 42|round }} {{ 1234|round(-2) }} {{ -2.5|round }} {{ 2.4|round(method='ceil') }} {{ 42.55|round(1, 'common') }} {{ 42|round(-1, 'floor') }} {{ 0.5|round|int }}
{{ h|safe }} {{ n|safe }} {{ none|safe }}
{{ l|select('odd')|list }} {{ l|select('gt', 2)|list }} {{ ['', 'x', none, 0]|select|list }} {{ w|select('lower')|list }} {{ l|select('in', [1, 2])|list }} {{ l|select('divisibleby', 3)|list }} {{ [1, 'a', none]|select('string')|list }} {{ l|select('>', 2)|list }}
{{ users|selectattr('age')|list|length }} {{ users|selectattr('age', 'equalto', 3)|first }} {{ messages|selectattr('role', '==', 'user')|map(attribute='content')|list }} {{ nested|selectattr('a.b', 'ge', 2)|list }} {{ messages|selectattr('n', 'defined')|list }} {{ messages|selectattr('role', 'in', ['user', 'system'])|list|length }}
{{ l|slice(2)|list }} {{ l|slice(2, 'x')|list }} {% for c in l|slice(3) %}{{ c }}{% endfor %} {{ e|slice(2)|list }}
{{ l|sort }} {{ l|sort(true) }} {{ w|sort }} {{ w|sort(case_sensitive=true) }} {{ users|sort(attribute='name')|map(attribute='name')|list }} {{ users|sort(attribute='town,age')|map(attribute='name')|list }} {{ users|sort(reverse=true, attribute='age')|map(attribute='age')|list }} {{ d|sort }} {{ 'bca'|sort }} {{ [true, 0, 2.5]|sort }}
{{ 5|string }} {{ none|string }} {{ l|string }} {{ d|string|length }} {{ true|string + 'x' }} {{ 1.0|string }} {{ missing|string }}|
{{ '<b>x</b> &amp; <i>y</i>  z <!-- c -->\\n q'|striptags }} {{ h|striptags }} {{ 5|striptags }}
{{ l|sum }} {{ users|sum(attribute='age') }} {{ l|sum(start=100) }} {{ e|sum }} {{ users|sum('age', 5) }} {{ [1.5, 2]|sum }} {{ [[1], [2]]|sum(start=[]) }}
{{ s|title }} {{ "it's a-b c_d 3rd"|title }} {{ 'ABC'|title }} {{ 5|title }} {{ 'foo(bar) [baz] {qux} <x>'|title }}
{{ d|tojson }} {{ l|tojson(indent=2) }} {{ h|tojson }} {{ d|tojson(sort_keys=true) }} {{ d|tojson(separators=(',', ':')) }} {{ u|tojson(ensure_ascii=true) }} {{ [1.0, none, true, 'x']|tojson }} {{ (1, 2)|tojson }} {{ {1: 2, none: 3, true: 4}|tojson }} {{ 'a/b'|tojson }} {{ e|tojson(indent=4) }}
[{{ t|trim }}] [{{ 'xxabcxx'|trim('x') }}] [{{ 5|trim }}] [{{ ''|trim }}] [{{ 'abcx'|trim(chars='ax') }}]
{{ s|truncate(15) }} {{ s|truncate(15, true) }} {{ s|truncate(15, true, '!') }} {{ s|truncate(15, end='') }} {{ s|truncate(41) }} {{ s|truncate(41, leeway=0) }} {{ 'abc'|truncate(5) }} {{ 'abcdefghijklmnop'|truncate(10, leeway=0) }} {{ s|truncate(length=20, killwords=true, leeway=2) }} {{ s|truncate }}
{{ l|unique|list }} {{ w|unique|list }} {{ w|unique(case_sensitive=true)|list }} {{ users|unique(attribute='town')|map(attribute='name')|list }} {{ ['a', 'A']|unique|join }}
{{ 'abc é'|upper }} {{ 5|upper }} {{ none|upper }} {{ 'straße'|upper }}
{{ 'a b/c?d=é&f'|urlencode }} {{ {'a': 1, 'b c': 'd&e'}|urlencode }} {{ [('x', 'y z'), ('q', 1)]|urlencode }} {{ 5|urlencode }} {{ 'ä~-_.'|urlencode }}
{{ 'see https://example.org/x and www.example.org, or me@example.org.'|urlize }} {{ 'http://a.b/c?d=1&e=2'|urlize(10) }} {{ 'https://x.y'|urlize(nofollow=true) }} {{ 'https://x.y'|urlize(target='_blank') }}
{{ s|wordcount }} {{ "it's one-two, three_four 5"|wordcount }} {{ ''|wordcount }} {{ u|wordcount }}
{{ s|wordwrap(10) }}| {{ 'abcdefghijklmnop qrs'|wordwrap(6) }}| {{ 'abcdefghij k'|wordwrap(4, false) }}| {{ s|wordwrap(15, wrapstring='//') }}| {{ 'a\\nb c'|wordwrap(3) }}| {{ 'foo-bar baz'|wordwrap(5, break_on_hyphens=false) }}
<x{{ {'class': 'a b', 'id': none, 'n': 1, 'q': '"<'}|xmlattr }}> <x{{ {}|xmlattr }}> <x{{ {'a': 1}|xmlattr(false) }}>
{{ s|replace(' ', '')|truncate(10, true, '…')|upper|length }} {{ l|map('multiply', 2)|list }}
"""

TESTS = """
{{ true is boolean }} {{ 1 is boolean }} {{ none is boolean }}
{{ range is callable }} {{ s is callable }} {{ s.upper is callable }} {{ d.items is callable }} {{ namespace is callable }} {{ missing is callable }} {{ raise_exception is callable }} {{ 5 is callable }} {{ l.append is callable }}
{{ s is defined }} {{ missing is defined }} {{ messages[0].nope is defined }} {{ messages[9] is defined }} {{ none is defined }} {{ d.a is defined }}
{{ 9 is divisibleby(3) }} {{ 9 is divisibleby 2 }} {{ 0 is divisibleby 5 }}
{{ 1 is eq 1.0 }} {{ 'a' is equalto 'a' }} {{ 1 is == 2 }} {{ [1] is eq [1] }} {{ true is eq 1 }} {{ '1' is eq 1 }} {{ (1,) is eq [1] }}
{{ h|e is escaped }} {{ h is escaped }} {{ h|safe is escaped }}
{{ 2 is even }} {{ 3 is even }} {{ 0 is even }} {{ 3 is odd }} {{ -3 is odd }} {{ 2.0 is even }}
{{ false is false }} {{ 0 is false }} {{ true is true }} {{ 1 is true }} {{ none is false }}
{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'tojson' is filter }} {{ 'urlize' is filter }} {{ 'center' is filter }}
{{ 1.0 is float }} {{ 1 is float }} {{ '1.0' is float }} {{ 1 is integer }} {{ true is integer }} {{ 1.0 is integer }} {{ big is integer }}
{{ 2 is ge 2 }} {{ 2 is gt 2 }} {{ 2 is le 2 }} {{ 2 is lt 2 }} {{ 2 is greaterthan 1 }} {{ 2 is lessthan 1 }} {{ 2 is ne 2 }} {{ 2 is >= 2 }} {{ 2 is != 2 }} {{ 'a' is lt 'b' }}
{{ 1 is in [1] }} {{ 'a' is in 'abc' }} {{ 'a' is in d }} {{ 5 is not in l }} {{ 1 is in (1, 2) }} {{ '' is in s }}
{{ l is iterable }} {{ s is iterable }} {{ d is iterable }} {{ 5 is iterable }} {{ none is iterable }} {{ range(3) is iterable }} {{ missing is iterable }} {{ l|map('abs') is iterable }}
{{ 'abc' is lower }} {{ 'aBc' is lower }} {{ '1' is lower }} {{ 'ABC1' is upper }} {{ '' is upper }} {{ 5 is lower }}
{{ d is mapping }} {{ l is mapping }} {{ s is mapping }} {{ o is mapping }} {{ namespace() is mapping }}
{{ none is none }} {{ 0 is none }} {{ missing is none }} {{ none is not none }}
{{ 1 is number }} {{ 1.5 is number }} {{ true is number }} {{ '1' is number }} {{ none is number }} {{ big is number }}
{{ none is sameas none }} {{ true is sameas true }} {{ l is sameas l }} {{ 1 is sameas true }}
{{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ (1,) is sequence }} {{ 5 is sequence }} {{ none is sequence }} {{ range(2) is sequence }}
{{ s is string }} {{ 5 is string }} {{ none is string }} {{ h|safe is string }} {{ missing is string }}
{{ 'odd' is test }} {{ 'nope' is test }} {{ 'callable' is test }} {{ 'escaped' is test }}
{{ missing is undefined }} {{ s is undefined }} {{ missing is not undefined }} {{ d.zzz is undefined }}
{{ not missing }} {{ not none }} {{ not '' }} {{ not e }} {{ not o }} {{ not 0 }} {{ not 0.0 }} {{ not (0,) }} {{ not ' ' }}
{{ n is odd or n is even and n > 100 }} {{ s is string and s is not none }} {{ not n is odd }}
"""

GLOBALS = """
{% set c = cycler('a', 'b', 'c') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}
{% set row = cycler('odd', 'even') %}{% for x in l %}{{ row.next() }} {% endfor %}
{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}
{% set j = joiner(' | ') %}{{ j() }}{{ j() }}{{ j() }} {% set k = joiner(sep='+') %}{{ k() }}{{ k() }}
{{ dict(a=1, b='x') }} {{ dict({'x': 1}, y=2) }} {{ dict({'x': 1}) }} {{ dict() }} {{ dict([('p', 1), ('q', 2)]) }} {{ dict({'x': 1}, x=2) }} {{ dict(d.items(), z=0)|length }}
{% set ns = namespace(x=1, y='a') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns.y }} {{ ns.z is defined }}
{% set ns = namespace({'x': 1}, y=2) %}{% set ns.z = [ns.x, ns.y] %}{{ ns.z }} {{ ns['x'] }}
{{ range(5)|list }} {{ range(1, 5)|list }} {{ range(0, 10, 3)|list }} {{ range(5, 0, -2)|list }} {{ range(3) }} {{ range(3)|length }} {{ range(10)[2] }} {{ 3 in range(5) }} {{ range(5)|sum }} {{ range(5)|last }} {{ range(0)|list }}
{{ lipsum(n=1, html=false, min=5, max=6)|wordcount > 3 }} {{ lipsum(n=2)|length > 20 }}
{{ strftime_now('%Y')|length }} {{ raise_exception is defined }} {{ strftime_now('no directive') }}
{{ loop is defined }} {{ self is defined }} {{ caller is defined }} {{ varargs is defined }}
{{ raise_exception('stop here') }}
{{ raise_exception('n is ' ~ n) }}
"""

EXPRESSIONS = """
{{ '%s' % s }} {{ '%s and %d' % ('a', 5) }} {{ '%.2f' % f }} {{ '%(role)s: %(content)s' % messages[0] }} {{ '%5s|%-5s|' % ('a', 'b') }} {{ '%%' % () }} {{ '%s' % l }} {{ '%s' % (l,) }} {{ '%s' % d }} {{ '%r' % 'q' }} {{ '%s' % none }} {{ '%d%%' % 5 }} {{ '%x' % 255 }} {{ '%03d' % 7 }} {{ '%s' % true }} {{ '%i' % 3.9 }} {{ '%c' % 65 }}
{{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7.5 // 2 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}
{{ +5 }} {{ +n }} {{ -n }} {{ +f }} {{ - -5 }} {{ +(-5) }} {{ 3 - +2 }} {{ -yes }} {{ +neg }} {{ [+1, -1] }}
{{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ 1.5 + 1 }} {{ 0.1 + 0.2 }} {{ 1e3 }} {{ 1_000 }} {{ 10000000000 * 10000000000 }} {{ big + 1 }} {{ 1 + true }} {{ 3 * 1.0 }}
{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ [1] + [2, 3] }} {{ (1,) + (2,) }} {{ '-' * 0 }}| {{ 'x' * -1 }}| {{ 'a' 'b' }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x'] ~ {'k': 'v'} ~ missing }}
{{ 1 == 1.0 }} {{ 1 != 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1, 2) == (1, 2) }} {{ none == none }} {{ d == d }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ [1] == (1,) }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 == 2 }} {{ true == 1 }} {{ '1' == 1 }} {{ missing == missing }}
{{ 'a' in 'abc' }} {{ 'x' not in 'abc' }} {{ 1 in l }} {{ 'a' in d }} {{ 'zz' in d }} {{ 2 in (1, 2) }} {{ none in [none] }} {{ 'role' in messages[0] }} {{ '' in 'abc' }}
{{ n if yes else s }} {{ 'x' if no }}| {{ 'a' if n > 40 else 'b' if n > 20 else 'c' }} {{ (missing or 'default') }} {{ none or 0 or 'x' }} {{ 1 and 2 }} {{ 0 and 2 }} {{ '' or e or d.a }} {{ not yes or no }}
{{ l[0] }} {{ l[-1] }} {{ l[1:3] }} {{ l[::-1] }} {{ l[:-1] }} {{ l[::2] }} {{ s[4:9] }} {{ s[-3:] }} {{ s[::-1] }} {{ l[10:] }} {{ l[5:1] }} {{ (1, 2, 3)[1:] }} {{ messages[1:]|length }} {{ s[0] }} {{ u[-1] }} {{ l[-2:] }} {{ l[3:0:-1] }} {{ s[:0] }}|
{{ d.a }} {{ d['a'] }} {{ d['c']['x'][2] }} {{ d.c.x[0] }} {{ d.missing }}| {{ d['missing'] }}| {{ l.0 }} {{ messages.0.role }} {{ d[missing] }}| {{ users[0]['na' ~ 'me'] }} {{ l[99] }}| {{ d.c.x.1 }}
{{ [1, 'a', none, [2], {'k': 1}] }} {{ {'a': 1, 2: 'b', none: true, (1, 2): 3} }} {{ (1, 2) }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }} {{ [1, 2,] }} {{ {'a': 1,} }}
{{ "double \\"quoted\\"" }} {{ 'single \\'quoted\\'' }} {{ 'a\\nb\\tc' }} {{ 'a\\\\b' }} {{ '\\x41\\u00e9' }} {{ "it's" }} {{ ["it's", 'say "x"', 'both \\' "', 'tab\\t', 'nul\\x00', '\\x7f\\xa0\\xad', '\\u200b\\u2028', '😀é'] }}
{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }} {{ 1.0 }} {{ 1e100 }} {{ 1e-7 }} {{ 123456789.123 }} {{ 1e16 }} {{ 0.1 }} {{ -0.0 }} {{ 5.0e-324 }} {{ 1e15 }} {{ 100000000000000000000.0 }}
{{ missing }}|{{ missing ~ 'x' }}|{{ [missing] }}|{{ missing|length }}|{{ missing|list }}|{{ missing|upper }}|
{{ missing.x }}
{{ missing + 1 }}
{{ missing() }}
{{ s.nope() }}
{{ 1 + 'a' }}
{{ 'a' + 1 }}
{{ 1 / 0 }}
{{ l < 5 }}
{{ none < 1 }}
{{ d.a.b.c }}
{{ s|nope }}
{{ s is nope }}
{{ n[0] }}| {{ none.x }}| {{ none['x'] }}|
{{ 5 in 5 }}
{% for x in 5 %}{{ x }}{% endfor %}
{% for x in none %}{{ x }}{% endfor %}
{% for x in missing %}{{ x }}{% else %}empty{% endfor %}
{{ (n, s)[0] }} {{ ('a', 'b')|join }} {{ ((1, 2), (3, 4))|map('last')|list }} {{ (messages|first).role }} {{ 'a'.upper() ~ 'b' }} {{ -n|abs }} {{ (-n)|abs }} {{ 2 * l|length }} {{ not s|length > 5 }} {{ 1 ~ 2 * 3 }} {{ n is odd is false }}
{{ "a" if "b" == "b" and not false else "c" }} {{ [x for x in l] }}
{{ n.real }} {{ n.imag }} {{ n.numerator }} {{ (5).bit_length() }} {{ f.is_integer() }} {{ (2.0).is_integer() }}
"""

STATEMENTS = """
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for x in l if x > 2 %}{{ x }}{{ ',' if not loop.last }}{% else %}none{% endfor %} {% for x in l if x > 99 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for k in d %}{{ k }}{% endfor %} {% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %} {% for c in 'abc' %}{{ c }}-{% endfor %}
{% for x in l %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 10 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for item in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}{{ item.n }}{{ loop.depth }}[{{ loop(item.c) }}]{% endfor %}
{% for x in l %}{% for y in w %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = x + 1 %}{% endfor %}{{ x }} {% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t = 1, 2 %}{{ t }} {% set z %}block {{ n }}{% endset %}{{ z }} {% set q | upper %}up{% endset %}{{ q }}
{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c='z') }} {{ m(a=5) }} {{ m() }} {{ m.name }} {{ m.arguments|join(',') }}
{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}
{% macro m(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ m(1, z=9) }}
{% macro m() %}{% endmacro %}{{ m is callable }}
{{ cycler('a') is callable }} {{ joiner() is callable }} {{ dict is callable }}
{% macro box(t) %}[{{ t }}:{{ caller() }}]{% endmacro %}{% call box('x') %}inner {{ n }}{% endcall %} {% macro rows(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) rows(l) %}<{{ i }}>{% endcall %}
{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(4) }} {{ f(2)|length }} {{ f(3) + '!' }} {{ f(1) == '1' }}
{% if yes %}a{% elif no %}b{% else %}c{% endif %}{% if not yes %}a{% elif n %}b{% endif %} {% if missing %}x{% endif %}{% if e %}x{% else %}y{% endif %}
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }} {% filter upper|replace('A', '4') %}banana{% endfilter %} {% raw %}{{ x }}{% y %}{% endraw %} {# gone #}x
a {%- if yes %} b {% endif -%} c {{- n -}} d {%+ if yes %}e{% endif +%} f
  {% if yes %}
  indented
  {% endif %}
end
{% do l %}
{% generation %}text {{ n }}{% endgeneration %} {%- generation -%} x {%- endgeneration -%}
{% autoescape true %}{{ h }}{{ h|safe }}{{ l }}{{ h ~ h|safe }}{% endautoescape %} {{ h }} {% autoescape false %}{{ h }}{% endautoescape %}
{% autoescape true %}{{ '<'|e }} {{ h|upper }} {{ h|tojson }} {{ ['<', '>'|safe]|join('&') }} {{ h|replace('<', '[') }} {{ '<' + ('>'|safe) }} {{ '%s'|safe|format('<') }}{% endautoescape %}
{% block title %}default{% endblock %} {{ self.title() }}
{% import 'x' as y %}
{% include 'x' %}
{% extends 'x' %}
{% if yes %}unclosed
{{ unclosed
{% endfor %}
{% unknown %}
{{ 1 2 }}
{% set ns.x = 1 %}
{% set messages = messages[1:] %}{{ messages|length }} {% set d2 = dict(d, z=1) %}{{ d2.z }} {% set role = messages[0]['role'] %}{{ role }}
{% for m in messages %}{% if loop.first and m.role == 'system' %}S{% elif (m.role == 'user') != (loop.index0 % 2 == 0) %}U{% else %}A{% endif %}{% endfor %}
"""

METHODS = """
{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ s.capitalize() }} {{ s.swapcase() }} {{ 'Straße'.casefold() }} {{ "it's o'neil 3rd a-b"|title }} {{ "it's o'neil 3rd a-b".title() }} {{ u.upper() }} {{ u.lower() }} {{ u.title() }} {{ u.swapcase() }} {{ u.capitalize() }}
[{{ t.strip() }}] [{{ t.lstrip() }}] [{{ t.rstrip() }}] [{{ 'xyax'.strip('xy') }}] [{{ 'xa'.lstrip('x') }}] [{{ 'ax'.rstrip('x') }}] [{{ 'abc'.strip('') }}] [{{ 'ab'.strip(none) }}]
{{ s.split() }} {{ s.split(' ', 2) }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', maxsplit=1) }} {{ 'a,b'.split(sep=',') }} {{ s.rsplit(' ', 1) }} {{ s.rsplit(none, 1) }} {{ ' a  b '.rsplit() }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a--b'.split('--') }} {{ 'abc'.split('x') }} {{ t.split(none, 1) }} {{ t.rsplit(maxsplit=2) }}
{{ 'a\\nb\\r\\nc\\rd\\n'.splitlines() }} {{ 'a\\nb\\n'.splitlines(true) }} {{ ''.splitlines() }} {{ 'a\\x0bb\\x0cc\\x1cd\\u2028e\\x85f'.splitlines() }} {{ 'a\\n'.splitlines(keepends=true) }}
{{ 'k=v=w'.partition('=') }} {{ 'k=v=w'.rpartition('=') }} {{ 'kv'.partition('=') }} {{ 'kv'.rpartition('=') }}
{{ s.replace('quick', 'slow') }} {{ 'aaa'.replace('a', 'b', 1) }} {{ 'abc'.replace('', '-') }} {{ 'aaa'.replace('a', 'b', -1) }} {{ 'aaa'.replace('a', '') }}|
{{ s.find('quick') }} {{ s.find('zzz') }} {{ s.find('o', 15) }} {{ s.find('o', 0, 5) }} {{ s.rfind('o') }} {{ s.index('fox') }} {{ s.rindex('o') }} {{ 'é漢é'.find('漢') }} {{ 'é漢é'.rfind('é') }} {{ s.find('o', -5) }} {{ s.find('') }} {{ s.rfind('o', 0, 20) }}
{{ s.index('zzz') }}
{{ s.count('o') }} {{ s.count('o', 15) }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('') }} {{ s.count('o', 0, 20) }}
{{ s.startswith('The') }} {{ s.startswith(('A', 'The')) }} {{ s.endswith('dog') }} {{ s.endswith(('x', 'g')) }} {{ s.startswith('quick', 4) }} {{ s.endswith('The', 0, 3) }} {{ s.startswith('') }} {{ s.startswith('quick', 4, 6) }}
{{ ', '.join(w) }} {{ ''.join([]) }}| {{ '-'.join('abc') }} {{ '-'.join(d) }} {{ '+'.join(['a']) }} {{ ', '.join(w|map('upper')) }}
{{ ', '.join(l) }}
{{ '{} {}'.format('a', 1) }} {{ '{1} {0}'.format('a', 'b') }} {{ '{x}'.format(x=5) }} {{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{:x}|{:%}'.format('a', 'b', 'c', 42, 3.14159, 1234567, 255, 0.5) }} {{ '{{}}'.format() }} {{ '{0[a]} {0[b]}'.format(d) }} {{ '{!r}'.format('q') }} {{ '{:*^9}'.format('mid') }} {{ '{:+} {: } {:e} {:g}'.format(1, 2, 3.5, 0.00001) }} {{ '{:d} {:b} {:o} {:#x}'.format(5, 5, 8, 255) }} {{ '{} {} {}'.format(none, true, l) }}
[{{ 'ab'.center(6) }}] [{{ 'ab'.center(7, '*') }}] [{{ 'a'.center(4, '*') }}] [{{ 'ab'.ljust(4) }}] [{{ 'ab'.rjust(4, '.') }}] [{{ '7'.zfill(3) }}] [{{ '-7'.zfill(4) }}] [{{ 'abc'.ljust(2) }}] [{{ '+1'.zfill(4) }}] [{{ 'x'.ljust(3, '-') }}]
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.suf'.removesuffix('.suf') }} {{ 'abc'.removeprefix('x') }} {{ 'abc'.removesuffix('') }}
{{ 'abc'.isalpha() }} {{ 'ab1'.isalnum() }} {{ '123'.isdigit() }} {{ '½'.isnumeric() }} {{ '½'.isdigit() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '٣'.isdecimal() }} {{ 'abc'.islower() }} {{ 'ABC'.isupper() }} {{ 'Abc Def'.istitle() }} {{ ' \\t'.isspace() }} {{ 'a_1'.isidentifier() }} {{ '1a'.isidentifier() }} {{ 'abc'.isascii() }} {{ 'é'.isascii() }} {{ 'a\\n'.isprintable() }} {{ ''.isalpha() }} {{ ''.isascii() }} {{ 'Ⅷ'.isnumeric() }} {{ '漢'.isnumeric() }} {{ '三'.isnumeric() }} {{ 'é'.isalpha() }} {{ 'ABC def'.istitle() }} {{ 'a b'.isprintable() }}
{{ 'a\\tb'.expandtabs() }} {{ 'a\\tb'.expandtabs(4) }} {{ 'abc'.translate({97: 'x', 98: none}) }} {{ 'é'.encode('utf-8')|length }} {{ 'abc'.encode() }}
{{ l.index(2) }} {{ l.count(3) }} {{ l.index(3, 1) }} {{ (1, 2, 1).index(2) }} {{ (1, 2, 1).count(1) }} {{ w.index('A') }} {{ l.copy() }}
{{ l.index(99) }}
{{ l.append(5) }}
{{ l.pop() }} {{ l.extend([1]) }} {{ l.sort() }} {{ l.reverse() }} {{ l.insert(0, 1) }} {{ l.remove(3) }} {{ l.clear() }}
{{ d.keys()|list }} {{ d.values()|list }} {{ d.items()|list }} {{ d.get('a') }} {{ d.get('zz') }} {{ d.get('zz', 'dflt') }} {{ d.get('zz')|default('x') }} {{ d.copy() == d }} {{ d.keys() }} {{ d.values() }} {{ d.items() }} {{ 'a' in d.keys() }} {{ d.keys()|length }}
{{ d.update({'x': 1}) }}
{{ d.pop('a') }}
{{ d.setdefault('q', 1) }}
{{ dict.fromkeys(['a', 'b'], 1) }} {{ {}.fromkeys('ab') }}
{{ d.items()|sort|first }} {{ d.keys()|sort }} {{ (d.items()|list)[0][1] }} {{ d.values()|first }}
{{ messages[0].content.split('.')[0] }} {{ messages[1]['content'].replace('<b>', '').upper() }} {{ messages[-1].get('n', 0) + 1 }} {{ messages[-1].content.strip().lower().startswith('y') }}
{{ s.__class__ }}| {{ s.__len__ is defined }} {{ l.__class__.__name__ }}|
{{ ''.__class__.__mro__ }}
"""


def blocks(text):
    """One template a line; lines that begin with two spaces, or follow such a line as `end`, belong together."""
    lines = text.strip("\n").split("\n")
    joined = []
    for line in lines:
        if joined and (line.startswith("  ") and joined[-1].startswith("  ") or line == "end"):
            joined[-1] += "\n" + line
        else:
            joined.append(line)
    return [line.replace("\\\\", "\\") for line in joined]


def render(template):
    try:
        rendered, _ = chat_template_utils.render_jinja_template(conversations=[VALUES["messages"]], chat_template=template, **{k: v for k, v in VALUES.items() if k != "messages"})
        return {"text": rendered[0]}
    except Exception as error:  # any exception of the template is the expected result
        return {"error": f"{type(error).__name__}: {error}"}


def pieces(template):
    """A template with several expressions is used whole, and each expression by itself."""
    parts = template.split("}} {{")
    if len(parts) > 1 and "{%" not in template and template.startswith("{{") and "|[{{" not in template:
        for i, part in enumerate(parts):
            whole = ("{{" if i else "") + part + ("}}" if i < len(parts) - 1 else "")
            if whole.count("{{") == whole.count("}}"):
                yield whole
    else:
        yield template


def main():
    rows, seen = [], set()
    for group in (FILTERS, TESTS, GLOBALS, EXPRESSIONS, STATEMENTS, METHODS):
        for block in blocks(group):
            for template in pieces(block):
                if template not in seen:
                    seen.add(template)
                    rows.append({"template": template, **render(template)})
    path = pathlib.Path(sys.argv[1]) / "jinja.json"
    path.write_text(json.dumps({"values": VALUES, "rows": rows}, indent=0, ensure_ascii=False) + "\n")
    print(f"{path}: {len(rows)} templates, {sum('error' in row for row in rows)} of them errors")


main()
