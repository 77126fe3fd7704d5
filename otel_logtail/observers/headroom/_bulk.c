/* Many of headroom's lines at once: the samples of `observe` in observer.py, as columns.

   None as an answer means that one of the lines is not ordinary; the caller then passes smaller parts. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define TIME 23 /* bytes of "2026-11-23 18:16:10,245" */
#define KNOWN 7 /* the stages that have a name */

static const char after_time[] = " - headroom.proxy - INFO - [hr_";
static const char after_id[] = "] STAGE_TIMINGS ";

typedef struct {
    const char *at;
    Py_ssize_t length;
} Text;

typedef struct {
    int64_t local_ns, began_ns;
    Text id;
} Head;

/* The configuration, passed once by observer.py. */
typedef struct {
    PyObject *texts, *causes, *longest, *stages; /* tuples of str; the second and third in the order of the shares below */
    Text event, http, web_socket, names[KNOWN];
    double max_ms;
    int64_t quarter_ns, slack_ns, jitter_ns, west_ns, east_ns;
} State;

static State state;

static int
is_digit(const char *at, const char *end)
{
    return at < end && (unsigned char)(*at - '0') <= 9;
}

static int
digits(const char *at, int number, int *value)
{
    *value = 0;
    for (int i = 0; i < number; i++) {
        unsigned digit = (unsigned char)at[i] - '0';
        if (digit > 9)
            return 0;
        *value = *value * 10 + (int)digit;
    }
    return 1;
}

/* The days from 1970-01-01 to a date of the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t
days_of(int year, int month, int day)
{
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int
days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : days[month - 1];
}

static int
time_of(const char *at, int64_t *ns)
{
    int year, month, day, hour, minute, second, millisecond;
    if (at[4] != '-' || at[7] != '-' || at[10] != ' ' || at[13] != ':' || at[16] != ':' || at[19] != ','
        || !digits(at, 4, &year) || !digits(at + 5, 2, &month) || !digits(at + 8, 2, &day)
        || !digits(at + 11, 2, &hour) || !digits(at + 14, 2, &minute) || !digits(at + 17, 2, &second)
        || !digits(at + 20, 3, &millisecond))
        return 0;
    if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23
        || minute > 59 || second > 59)
        return 0;
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *ns = seconds * SECOND_NS + millisecond * INT64_C(1000000);
    return 1;
}

/* Return the start of the payload; NULL: the line does not start as headroom writes it, with an epoch in its id. */
static const char *
head_of(const char *line, const char *end, Head *head)
{
    const char *at = line + TIME;
    if (end - line < TIME + (Py_ssize_t)sizeof after_time || !time_of(line, &head->local_ns)
        || memcmp(at, after_time, sizeof after_time - 1) != 0)
        return NULL;
    at += sizeof after_time - 1;
    head->id.at = at - 3;
    int64_t epoch = 0;
    const char *first = at;
    while (is_digit(at, end) && at - first < 11)
        epoch = epoch * 10 + (*at++ - '0');
    if (at == first || epoch > INT64_C(9000000000) || at == end || *at++ != '_')
        return NULL;
    head->began_ns = epoch * SECOND_NS;
    first = at;
    while (is_digit(at, end))
        at++;
    head->id.length = at - head->id.at;
    if (at == first || end - at < (Py_ssize_t)sizeof after_id - 1 || memcmp(at, after_id, sizeof after_id - 1) != 0)
        return NULL;
    return at + sizeof after_id - 1;
}

/* --- the payload: JSON as far as headroom uses it. Other JSON is left to the decoder in Python. ------- */

#define NAME(text) {text, sizeof text - 1}

static const Text event_name = NAME("event"), path_name = NAME("path"), id_name = NAME("request_id"),
                  stages_name = NAME("stages"), total_name = NAME("total_pre_upstream"), no_text = NAME("");

enum { WAIT, READ, COPY, COMPRESSION, MEMORY, CONNECT };

static int
same(const Text *one, const Text *other)
{
    return one->length == other->length
           && (one->at == other->at || memcmp(one->at, other->at, (size_t)one->length) == 0);
}

static const char *
skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

/* Behind this character and the space around it; NULL: something else is there. */
static const char *
past(const char *at, const char *end, char wanted)
{
    if (at < end && *at != wanted)
        at = skip_space(at, end);
    if (at == end || *at++ != wanted)
        return NULL;
    at += at < end && *at == ' '; /* nearly always one */
    return at < end && *at <= ' ' ? skip_space(at, end) : at;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define HIGH EACH(0x80)

/* The top bit of each byte (all of them below 0x80) that is zero, at least of the first one. */
static uint64_t
zeros_in(uint64_t bytes)
{
    return (bytes - EACH(1)) & ~bytes & HIGH;
}

/* A string of ASCII without escapes; returns what is behind it, or NULL. Faster where it is the one that is likely. */
static const char *
string_at(const char *at, const char *end, Text *text, const Text *likely)
{
    if (at == end || *at++ != '"')
        return NULL;
    Py_ssize_t length = likely->length;
    if (end - at > length && at[length] == '"' && memcmp(at, likely->at, (size_t)length) == 0) {
        *text = *likely;
        return at + length + 1;
    }
    text->at = at;
    for (uint64_t bytes; end - at >= 8; at += 8) {
        memcpy(&bytes, at, 8);
        if ((bytes & HIGH) | zeros_in(bytes ^ EACH('"')) | zeros_in(bytes ^ EACH('\\')) | (~(bytes + EACH(0x60)) & HIGH))
            break; /* one of these eight is not inside the string: the loop below finds it */
    }
    while (at < end && *at != '"') {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x80 || *at == '\\')
            return NULL;
        at++;
    }
    text->length = at - text->at;
    return at < end ? at + 1 : NULL;
}

static const uint64_t powers[] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
};

/* Return the end of the digits; `number` is extended by their value as far as it can hold it. */
static const char *
digits_at(const char *at, const char *end, uint64_t *number)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (uint64_t bytes; end - at >= 8; at += 8) { /* eight at once: pairs, fours, all of them */
        memcpy(&bytes, at, 8);
        if (((bytes & EACH(0xf0)) ^ EACH(0x30)) | (((bytes + EACH(6)) & EACH(0xf0)) ^ EACH(0x30)))
            break;
        bytes = (bytes & EACH(0x0f)) * 2561 >> 8;
        bytes = (bytes & UINT64_C(0x00ff00ff00ff00ff)) * 6553601 >> 16;
        bytes = (bytes & UINT64_C(0x0000ffff0000ffff)) * UINT64_C(42949672960001) >> 32;
        *number = *number * 100000000 + bytes;
    }
#endif
    for (; is_digit(at, end); at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return at;
}

/* The nanoseconds of a number of milliseconds, as Python's `round(float(text) * 1e6)`; -1: left to Python. */
static int64_t
rounded(const char *from, const char *to)
{
    char text[40];
    if ((size_t)(to - from) >= sizeof text)
        return -1;
    memcpy(text, from, (size_t)(to - from));
    text[to - from] = '\0';
    double ms = PyOS_string_to_double(text, NULL, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    return ms >= 0 && ms < state.max_ms ? (int64_t)rint(ms * 1e6) : -1;
}

/* A number that is not negative, as nanoseconds; returns what is behind it, or NULL. */
static const char *
milliseconds_at(const char *at, const char *end, int64_t *ns)
{
    const char *first = at;
    uint64_t number = 0; /* all its digits, where they are few enough */
    Py_ssize_t places = 0;
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end)))
        return NULL;
    at = digits_at(at, end, &number);
    Py_ssize_t counting = *first == '0' ? 0 : at - first; /* digits from the first that is not zero */
    if (at < end && *at == '.') {
        const char *point = ++at, *begin = at;
        at = digits_at(at, end, &number);
        places = at - point;
        if (places == 0)
            return NULL;
        while (counting == 0 && begin < at && *begin == '0')
            begin++;
        counting += at - begin;
    }
    int exact = counting <= 18;
    if (at < end && (*at == 'e' || *at == 'E')) {
        exact = 0;
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (!is_digit(at, end))
            return NULL;
        while (is_digit(at, end))
            at++;
    }
    *ns = -1;
    if (exact && places >= 6 && places - 6 < (Py_ssize_t)(sizeof powers / sizeof *powers)) {
        /* below 2**32 ns a float and its product with 1e6 are less than 2**-20 ns off: the digits show which way it is
           rounded, unless they are nearer to the middle than that */
        uint64_t unit = powers[places - 6], whole = number / unit, rest = number % unit, half = unit / 2;
        uint64_t from_half = rest > half ? rest - half : half - rest;
        if (whole < UINT64_C(1) << 32 && (unit == 1 || from_half > unit >> 18))
            *ns = (int64_t)(whole + (rest > half));
    }
    if (*ns < 0)
        *ns = rounded(first, at);
    return *ns < 0 ? NULL : at;
}

typedef struct {
    int64_t total, past, local, stages[KNOWN];
    int missing; /* a bit for each stage that did not run */
} Row;

/* The stages of a request or a session; returns what is behind them, or NULL.

   seen: a bit for each stage that is named, one more for the total, and one more for those that have no name here. */
static const char *
stages_at(const char *at, const char *end, Row *row, int *seen)
{
    row->missing = (1 << KNOWN) - 1;
    memset(row->stages, 0, sizeof row->stages);
    *seen = 0;
    if ((at = past(at, end, '{')) == NULL)
        return NULL;
    if (at < end && *at == '}')
        return at + 1;
    for (int next = 0;;) {
        Text name;
        int which = KNOWN + 1;
        const Text *likely = next < KNOWN ? &state.names[next] : &total_name;
        if ((at = string_at(at, end, &name, likely)) == NULL || (at = past(at, end, ':')) == NULL)
            return NULL;
        for (int turn = 0; turn < KNOWN && which > KNOWN; turn++) {
            int stage = next + turn < KNOWN ? next + turn : next + turn - KNOWN; /* nearly always in their order */
            if (same(&name, &state.names[stage]))
                which = stage;
        }
        if (which > KNOWN && same(&name, &total_name))
            which = KNOWN;
        if (which <= KNOWN && *seen & 1 << which)
            return NULL; /* a duplicate: a decoder uses the last */
        *seen |= 1 << which;
        int64_t ns = -1;
        if (end - at >= 4 && memcmp(at, "null", 4) == 0)
            at += 4;
        else if ((at = milliseconds_at(at, end, &ns)) == NULL)
            return NULL;
        if (which == KNOWN)
            row->total = ns;
        else if (which < KNOWN) {
            next = which + 1;
            if (ns >= 0) {
                row->stages[which] = ns;
                row->missing &= ~(1 << which);
            }
        }
        at = skip_space(at, end);
        if (at == end)
            return NULL;
        if (*at == '}')
            return at + 1;
        if ((at = past(at, end, ',')) == NULL)
            return NULL;
    }
}

enum { ODD, REQUEST, SESSION };

/* Return the kind of a line; fill the row of a request. */
static int
line_of(const char *line, const char *end, Row *row)
{
    enum { EVENT, PATH, ID, STAGES, OTHER };
    Head head;
    Text event = {NULL, 0}, path = event, id = event, value;
    int found = 0, seen = 0, next = EVENT;
    const char *at = head_of(line, end, &head);
    if (at == NULL || (at = past(at, end, '{')) == NULL)
        return ODD;
    const Text *names[] = {&event_name, &path_name, &id_name, &stages_name};
    const Text *values[] = {&state.event, &state.http, &head.id, &no_text, &no_text};
    for (;;) {
        Text name;
        if ((at = string_at(at, end, &name, names[next])) == NULL || (at = past(at, end, ':')) == NULL)
            return ODD;
        int which = 0;
        while (which < OTHER && !same(&name, names[which]))
            which++;
        if (which != OTHER && found & 1 << which)
            return ODD; /* a duplicate: a decoder uses the last */
        found |= 1 << which;
        if (which < STAGES)
            next = which + 1; /* nearly always in this order */
        /* what has no name here is left out, if it is as simple as what has one */
        at = which == STAGES ? stages_at(at, end, row, &seen) : string_at(at, end, &value, values[which]);
        if (at == NULL)
            return ODD;
        if (which == EVENT)
            event = value;
        else if (which == PATH)
            path = value;
        else if (which == ID)
            id = value;
        at = skip_space(at, end);
        if (at < end && *at == '}')
            break;
        if ((at = past(at, end, ',')) == NULL)
            return ODD;
    }
    if (skip_space(at + 1, end) != end || (found & 0xf) != 0xf || !same(&id, &head.id))
        return ODD;
    if (same(&path, &state.web_socket))
        return SESSION;
    if (!same(&path, &state.http) || !same(&event, &state.event) || !(seen & 1 << KNOWN) || seen >> (KNOWN + 1)
        || row->total < 0)
        return ODD;
    row->local = head.local_ns;
    row->past = head.local_ns - head.began_ns;
    return REQUEST;
}

static int64_t
floored(int64_t number, int64_t by)
{
    int64_t quotient = number / by;
    return (quotient - (number % by < 0)) * by;
}

static int
first_of_the_largest(const int64_t *shares, int number)
{
    int most = 0;
    for (int i = 1; i < number; i++)
        if (shares[i] > shares[most])
            most = i;
    return most;
}

/* The samples of rows that all lie in one zone; NULL without an error: they don't. */
static PyObject *
samples_of(const Row *rows, Py_ssize_t number, int64_t zone_ns)
{
    PyObject *time = PyList_New(number), *total = PyList_New(number), *logged = PyList_New(number);
    PyObject *causes = PyList_New(number), *longest = PyList_New(number), *stage_ns = PyList_New(number);
    if (!time || !total || !logged || !causes || !longest || !stage_ns)
        goto failed;
    for (Py_ssize_t i = 0; i < number; i++) {
        const Row *row = rows + i;
        const int64_t *ns = row->stages;
        int64_t logged_ns = row->local - zone_ns, time_ns = logged_ns - ns[CONNECT];
        if (time_ns < row->total)
            goto failed;
        int64_t compress = ns[COPY] + ns[COMPRESSION];
        /* the rest may be negative where stages overlap; it can't be the largest then */
        int64_t rest = row->total - ns[WAIT] - ns[READ] - compress;
        const int64_t shares[] = {ns[WAIT], ns[READ], compress, rest};
        const int64_t single[] = {ns[WAIT], ns[READ], ns[COPY], ns[COMPRESSION], ns[MEMORY], rest - ns[MEMORY]};
        PyObject *cause = PyTuple_GetItem(state.causes, first_of_the_largest(shares, 4));
        PyObject *stage = PyTuple_GetItem(state.longest, first_of_the_largest(single, 6));
        PyList_SetItem(causes, i, Py_NewRef(cause));
        PyList_SetItem(longest, i, Py_NewRef(stage));
        PyObject *of_time = PyLong_FromLongLong(time_ns), *of_total = PyLong_FromLongLong(row->total);
        PyObject *of_logged = time_ns == logged_ns ? Py_XNewRef(of_time) : PyLong_FromLongLong(logged_ns);
        PyObject *of_stages = PyTuple_New(KNOWN + 1);
        PyList_SetItem(time, i, of_time);
        PyList_SetItem(total, i, of_total);
        PyList_SetItem(logged, i, of_logged);
        PyList_SetItem(stage_ns, i, of_stages);
        if (!of_time || !of_total || !of_logged || !of_stages)
            goto failed;
        for (int stage_ = 0; stage_ <= KNOWN; stage_++) {
            int ran = stage_ < KNOWN && !(row->missing & 1 << stage_); /* a line with unknown ones is not decoded here */
            PyObject *value = ran ? PyLong_FromLongLong(ns[stage_]) : Py_NewRef(Py_None);
            PyTuple_SetItem(of_stages, stage_, value);
            if (value == NULL)
                goto failed;
        }
    }
    return Py_BuildValue("NNNNNN", time, total, logged, causes, longest, stage_ns);
failed:
    Py_XDECREF(time);
    Py_XDECREF(total);
    Py_XDECREF(logged);
    Py_XDECREF(causes);
    Py_XDECREF(longest);
    Py_XDECREF(stage_ns);
    return NULL;
}

static PyObject *
columns(PyObject *module, PyObject *lines)
{
    PyObject *kept = NULL, *result = NULL;
    if (!PyList_Check(lines) || state.causes == NULL)
        Py_RETURN_NONE;
    Py_ssize_t number = PyList_Size(lines), taken = 0;
    Row *rows = PyMem_New(Row, number ? number : 1);
    if (rows == NULL || (kept = PyList_New(0)) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    int64_t least = INT64_MAX, most = INT64_MIN, least_past = INT64_MAX;
    for (Py_ssize_t i = 0; i < number; i++) {
        PyObject *line = PyList_GetItem(lines, i);
        if (!PyBytes_CheckExact(line))
            goto done;
        Row *row = rows + taken;
        const char *text = PyBytes_AsString(line);
        int what = line_of(text, text + PyBytes_Size(line), row);
        if (what == ODD)
            goto done;
        if (what == SESSION)
            continue;
        int64_t ahead = row->past - row->total - row->stages[CONNECT];
        least = ahead < least ? ahead : least;
        most = ahead > most ? ahead : most;
        least_past = row->past < least_past ? row->past : least_past;
        taken++;
        PyObject *place = PyLong_FromSsize_t(i);
        if (place == NULL || PyList_Append(kept, place) < 0) {
            Py_XDECREF(place);
            goto done;
        }
        Py_DECREF(place);
    }
    int64_t zone_ns = 0;
    if (taken) {
        zone_ns = floored(least + state.quarter_ns / 2, state.quarter_ns);
        if (zone_ns < state.west_ns || zone_ns > state.east_ns || most - zone_ns > state.slack_ns
            || least_past - zone_ns < -state.jitter_ns)
            goto done; /* late, or in another zone */
    }
    PyObject *samples = samples_of(rows, taken, zone_ns);
    if (samples != NULL)
        result = Py_BuildValue("ON", taken == number ? Py_None : kept, samples);
done:
    PyMem_Free(rows);
    Py_XDECREF(kept);
    if (result == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return result;
}

static int
text_of(PyObject *from, Text *text)
{
    text->at = PyUnicode_AsUTF8AndSize(from, &text->length);
    return text->at == NULL ? -1 : 0;
}

static PyObject *
configure(PyObject *module, PyObject *args)
{
    State told;
    long long quarter, slack, jitter, west, east;
    if (!PyArg_ParseTuple(args, "O!O!O!O!dLLLLL", &PyTuple_Type, &told.texts, &PyTuple_Type, &told.causes, &PyTuple_Type,
                          &told.longest, &PyTuple_Type, &told.stages, &told.max_ms, &quarter, &slack, &jitter, &west,
                          &east))
        return NULL;
    if (PyTuple_Size(told.texts) != 3 || PyTuple_Size(told.causes) != 4 || PyTuple_Size(told.longest) != 6
        || PyTuple_Size(told.stages) != KNOWN) {
        PyErr_SetString(PyExc_ValueError, "an event, two paths, 4 causes, 6 longest stages and 7 stages are known here");
        return NULL;
    }
    if (text_of(PyTuple_GetItem(told.texts, 0), &told.event) < 0
        || text_of(PyTuple_GetItem(told.texts, 1), &told.http) < 0
        || text_of(PyTuple_GetItem(told.texts, 2), &told.web_socket) < 0)
        return NULL;
    for (int i = 0; i < KNOWN; i++)
        if (text_of(PyTuple_GetItem(told.stages, i), &told.names[i]) < 0)
            return NULL;
    told.quarter_ns = quarter;
    told.slack_ns = slack;
    told.jitter_ns = jitter;
    told.west_ns = west;
    told.east_ns = east;
    Py_INCREF(told.texts);
    Py_INCREF(told.causes);
    Py_INCREF(told.longest);
    Py_INCREF(told.stages);
    state = told; /* an earlier configuration is never freed: there is only one */
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"configure", configure, METH_VARARGS, "Tell the names and bounds of headroom.py, once."},
    {"columns", columns, METH_O, "columns(lines): (kept, (time, total, …)), or None"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "otel_logtail.observers.headroom._bulk",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__bulk(void)
{
    return PyModule_Create(&definition);
}
