"""What a query may be made of: everything that is not listed here is refused (SEC41).

`NODES` are sqlglot's names for parts of a statement and for functions that it knows; `FUNCTIONS`
are names that it passes on as they are. All of them only read or compute: none opens a file or a
connection, changes a setting or a sequence, waits, or ends somebody's session.
"""

from __future__ import annotations

_STATEMENT = """
alias aliases boolean column cte cube datatype datatypeparam distinct except filter from group
groupingsets having hexstring identifier ignorenulls intersect join lateral limit literal national
null offset order ordered paren placeholder qualify respectnulls rollup select star subquery table
tablealias tuple union unnest values var where window windowspec with withingroup
"""

_OPERATORS = """
add all and any attimezone between bitwiseand bitwiseleftshift bitwisenot bitwiseor
bitwiserightshift bitwisexor bracket case cast collate div dpipe eq escape exists glob gt gte if
ilike in intdiv interval intervalspan is like lt lte mod mul neg neq not nullsafeeq nullsafeneq or
regexpilike regexplike similarto slice sub trycast xor
arraycontainedby arraycontainsall arrayoverlaps jsonbcontains jsonbcontainsalltopkeys
jsonbcontainsanytopkeys jsonbcontainstopkey jsonbextract jsonbextractscalar jsonextract
jsonextractscalar jsonpath jsonpathkey jsonpathroot jsonpathsubscript
"""

_CALLS = """
abs array arrayagg arraysize arraytostring ascii avg ceil chr coalesce concat concatws convert
converttimezone count countif cumedist currentdate currentdatetime currenttime currenttimestamp date
dateadd datebin datediff datefromparts datestrtodate datesub datetime datetimeadd datetimediff
datetimesub datetimetrunc datetrunc day dayofmonth dayofweek dayofweekiso dayofyear denserank encode
endswith exp explodinggenerateseries extract first firstvalue floor generateseries greatest
groupconcat hex hour initcap jsonarray jsonobject justifydays justifyhours justifyinterval lag last
lastday lastvalue lead least left length ln localtime localtimestamp log logicaland logicalor lower
lowerhex max md5 md5digest median min minute mode month monthsbetween nanvl nthvalue ntile nullif
numbertostr nvl2 overlay pad percentilecont percentiledisc percentrank pow quantile quarter rank
regexpextract regexpreplace replace reverse right round rownumber second sha sha2 sign split
splitpart sqrt startswith stddev stddevpop stddevsamp string strposition strtodate strtotime
strtounix substring substringindex sum time timediff timestamp timestampadd timestampdiff
timestampfromparts timestampsub timestamptrunc timestrtodate timestrtotime timestrtounix timetostr
timetounix timetrunc tochar todays tonumber translate trim trunc tsordsadd tsordsdiff tsordstodate
tsordstodatestr tsordstodatetime tsordstotime tsordstotimestamp typeof unhex unicode unixdate
unixmicros unixmillis unixseconds unixtostr unixtotime unixtotimestr upper variance variancepop week
weekofyear widthbucket year
"""

_OTHERS = """
age array_length array_position btrim cardinality char_length character_length date date_format
date_part datetime format from_unixtime hashtext instr json_array_length json_build_array
json_build_object json_each json_extract json_extract_path json_extract_path_text json_type
json_valid jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_object
jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_keys julianday
ltrim make_date make_timestamp octet_length printf row rtrim strftime time timediff timezone to_date
to_timestamp total trunc unix_timestamp unixepoch
"""

NODES = frozenset(f"{_STATEMENT} {_OPERATORS} {_CALLS}".split())
FUNCTIONS = frozenset(_OTHERS.split())
