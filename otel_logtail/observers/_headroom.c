/* headroom's lines in bulk: the loops of headroom.py's `observe_all`, which holds their twin in Python.

   None as an answer means that one of the lines is out of the ordinary; the caller then takes them in smaller parts. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#define SECOND_NS INT64_C(1000000000)
#define TIME 23 /* bytes of "2026-11-23 18:16:10,245" */
#define KNOWN 7 /* the stages that have a name */

static const char after_time[] = " - headroom.proxy - INFO - [hr_";
static const char after_id[] = "] STAGE_TIMINGS ";

typedef struct {
    int64_t local_ns, began_ns;
    int64_t id, id_length; /* where the request's id lies in its line */
} Head;

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

/* Where the payload begins; NULL: the line does not begin as headroom writes it, with an epoch in its id. */
static const char *
head_of(const char *line, Py_ssize_t length, Head *head)
{
    const char *end = line + length, *at = line + TIME;
    if (length < TIME + (Py_ssize_t)sizeof after_time || !time_of(line, &head->local_ns)
        || memcmp(at, after_time, sizeof after_time - 1) != 0)
        return NULL;
    at += sizeof after_time - 1;
    head->id = at - 3 - line;
    int64_t epoch = 0;
    const char *first = at;
    while (at < end && *at >= '0' && *at <= '9' && at - first < 11)
        epoch = epoch * 10 + (*at++ - '0');
    if (at == first || epoch > INT64_C(9000000000) || at == end || *at++ != '_')
        return NULL;
    head->began_ns = epoch * SECOND_NS;
    first = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    head->id_length = at - line - head->id;
    if (at == first || end - at < (Py_ssize_t)sizeof after_id - 1 || memcmp(at, after_id, sizeof after_id - 1) != 0)
        return NULL;
    at += sizeof after_id - 1;
    /* Two values in one line, and one value in two: the decoder takes both, and would count a forged pair as two lines. */
    for (const char *close = at; (close = memchr(close, '}', (size_t)(end - close))) != NULL;) {
        do
            close++;
        while (close < end && (*close == ' ' || *close == '\t' || *close == '\r'));
        if (close < end && *close == '{')
            return NULL;
    }
    return at;
}

static PyObject *
heads(PyObject *module, PyObject *lines)
{
    if (!PyList_Check(lines))
        Py_RETURN_NONE;
    Py_ssize_t number = PyList_GET_SIZE(lines), size = 0;
    for (Py_ssize_t i = 0; i < number; i++) {
        PyObject *line = PyList_GET_ITEM(lines, i);
        if (!PyBytes_CheckExact(line))
            Py_RETURN_NONE;
        size += PyBytes_GET_SIZE(line) + 1;
    }
    PyObject *found = PyBytes_FromStringAndSize(NULL, number * (Py_ssize_t)sizeof(Head));
    PyObject *payloads = PyBytes_FromStringAndSize(NULL, size);
    if (found == NULL || payloads == NULL)
        goto failed;
    char *into = PyBytes_AS_STRING(payloads);
    Head *head = (Head *)PyBytes_AS_STRING(found);
    for (Py_ssize_t i = 0; i < number; i++, head++) {
        PyObject *line = PyList_GET_ITEM(lines, i);
        const char *text = PyBytes_AS_STRING(line), *end = text + PyBytes_GET_SIZE(line);
        const char *payload = head_of(text, end - text, head);
        if (payload == NULL) {
            Py_DECREF(found);
            Py_DECREF(payloads);
            Py_RETURN_NONE;
        }
        memcpy(into, payload, (size_t)(end - payload));
        into += end - payload;
        *into++ = '\n';
    }
    if (_PyBytes_Resize(&payloads, into - PyBytes_AS_STRING(payloads)) < 0)
        goto failed;
    return Py_BuildValue("NN", found, payloads);
failed:
    Py_XDECREF(found);
    Py_XDECREF(payloads);
    return NULL;
}

/* An attribute, and where an object of its type holds it (0: asked for by name, which costs several times as much). */
typedef struct {
    PyObject *name;
    Py_ssize_t offset;
} Field;

/* What `columns` is told once about the types and names of headroom.py. */
typedef struct {
    PyObject *request, *session, *stages_type, *event; /* three types, and the event that every payload names */
    PyObject *causes, *longest;          /* tuples of str, in the order of the shares below */
    Field stages, request_event, request_id, session_id; /* of a request and of a session */
    Field total, known[KNOWN];                           /* of its stages */
    int64_t quarter_ns, slack_ns, jitter_ns, west_ns, east_ns;
} State;

static State state;

static int
find_field(PyObject *type, PyObject *name, Field *field)
{
    PyObject *descriptor = PyObject_GetAttr(type, name);
    if (descriptor == NULL)
        return -1;
    field->name = Py_NewRef(name);
    field->offset = 0;
    if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        if (member->type == T_OBJECT_EX)
            field->offset = member->offset;
    }
    Py_DECREF(descriptor);
    return 0;
}

static int
find_named(PyObject *type, const char *text, Field *field)
{
    PyObject *name = PyUnicode_InternFromString(text);
    int found = name == NULL ? -1 : find_field(type, name, field);
    Py_XDECREF(name);
    return found;
}

/* The value of a field (a new reference) of an object of the field's own type. */
static PyObject *
value_of(PyObject *from, const Field *field)
{
    PyObject *value = field->offset ? *(PyObject **)((char *)from + field->offset) : NULL;
    return value == NULL ? PyObject_GetAttr(from, field->name) : Py_NewRef(value);
}

static PyObject *
configure(PyObject *module, PyObject *args)
{
    PyObject *request, *session, *stages, *event, *causes, *longest, *names;
    long long quarter, slack, jitter, west, east;
    if (!PyArg_ParseTuple(args, "O!O!O!UO!O!O!LLLLL", &PyType_Type, &request, &PyType_Type, &session, &PyType_Type,
                          &stages, &event, &PyTuple_Type, &causes, &PyTuple_Type, &longest, &PyTuple_Type, &names,
                          &quarter, &slack, &jitter, &west, &east))
        return NULL;
    if (PyTuple_GET_SIZE(causes) != 4 || PyTuple_GET_SIZE(longest) != 6 || PyTuple_GET_SIZE(names) != KNOWN) {
        PyErr_SetString(PyExc_ValueError, "4 causes, 6 longest stages and 7 stages are known here");
        return NULL;
    }
    State told = {
        .event = event,
        .causes = causes,
        .longest = longest,
        .quarter_ns = quarter,
        .slack_ns = slack,
        .jitter_ns = jitter,
        .west_ns = west,
        .east_ns = east,
    };
    if (find_named(request, "stages", &told.stages) < 0 || find_named(request, "event", &told.request_event) < 0
        || find_named(request, "request_id", &told.request_id) < 0
        || find_named(session, "request_id", &told.session_id) < 0
        || find_named(stages, "total_pre_upstream", &told.total) < 0)
        return NULL;
    for (int i = 0; i < KNOWN; i++)
        if (find_field(stages, PyTuple_GET_ITEM(names, i), &told.known[i]) < 0)
            return NULL;
    told.request = Py_NewRef(request);
    told.session = Py_NewRef(session);
    told.stages_type = Py_NewRef(stages);
    Py_INCREF(event);
    Py_INCREF(causes);
    Py_INCREF(longest);
    state = told; /* what was told before is kept for ever: it is told once */
    Py_RETURN_NONE;
}

enum { WAIT, READ, COPY, COMPRESSION, MEMORY, CONNECT };

typedef struct {
    int64_t total, past, local, stages[KNOWN];
    int missing; /* a bit for each stage that did not run */
} Row;

/* -1: an error; 0: not so simple; 1: read. */
static int
ns_of(PyObject *from, const Field *field, int64_t *ns)
{
    PyObject *value = value_of(from, field);
    if (value == NULL)
        return -1;
    int found = 1;
    if (value == Py_None)
        *ns = -1;
    else if (PyFloat_CheckExact(value)) {
        double exact = rint(PyFloat_AS_DOUBLE(value) * 1e6); /* half to even, as Python's round */
        if (exact >= 0 && exact < 9e15)
            *ns = (int64_t)exact;
        else
            found = 0;
    } else
        found = 0;
    Py_DECREF(value);
    return found;
}

static int
same_text(PyObject *from, const Field *field, const char *text, Py_ssize_t length)
{
    PyObject *value = value_of(from, field);
    if (value == NULL)
        return -1;
    Py_ssize_t size = 0;
    const char *own = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &size) : NULL;
    int same = own != NULL && size == length && memcmp(own, text, (size_t)length) == 0;
    Py_DECREF(value);
    if (own == NULL)
        PyErr_Clear(); /* a lone surrogate, which no id has */
    return same;
}

static int
row_of(PyObject *request, const Head *head, Row *row)
{
    PyObject *stages = value_of(request, &state.stages);
    if (stages == NULL)
        return -1;
    int found = (PyObject *)Py_TYPE(stages) == state.stages_type ? ns_of(stages, &state.total, &row->total) : 0;
    row->missing = 0;
    for (int i = 0; i < KNOWN && found > 0; i++) {
        found = ns_of(stages, &state.known[i], &row->stages[i]);
        if (found > 0 && row->stages[i] < 0) {
            row->stages[i] = 0;
            row->missing |= 1 << i;
        }
    }
    Py_DECREF(stages);
    row->local = head->local_ns;
    row->past = head->local_ns - head->began_ns;
    return found > 0 && row->total < 0 ? 0 : found;
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
        PyObject *cause = PyTuple_GET_ITEM(state.causes, first_of_the_largest(shares, 4));
        PyObject *stage = PyTuple_GET_ITEM(state.longest, first_of_the_largest(single, 6));
        PyList_SET_ITEM(causes, i, Py_NewRef(cause));
        PyList_SET_ITEM(longest, i, Py_NewRef(stage));
        PyObject *of_time = PyLong_FromLongLong(time_ns), *of_total = PyLong_FromLongLong(row->total);
        PyObject *of_logged = time_ns == logged_ns ? Py_XNewRef(of_time) : PyLong_FromLongLong(logged_ns);
        PyObject *of_stages = PyTuple_New(KNOWN + 1);
        PyList_SET_ITEM(time, i, of_time);
        PyList_SET_ITEM(total, i, of_total);
        PyList_SET_ITEM(logged, i, of_logged);
        PyList_SET_ITEM(stage_ns, i, of_stages);
        if (!of_time || !of_total || !of_logged || !of_stages)
            goto failed;
        for (int stage_ = 0; stage_ <= KNOWN; stage_++) {
            int ran = stage_ < KNOWN && !(row->missing & 1 << stage_); /* a line with unknown ones is not decoded here */
            PyObject *value = ran ? PyLong_FromLongLong(ns[stage_]) : Py_NewRef(Py_None);
            PyTuple_SET_ITEM(of_stages, stage_, value);
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
columns(PyObject *module, PyObject *args)
{
    PyObject *lines, *found, *requests, *kept = NULL, *result = NULL;
    if (!PyArg_ParseTuple(args, "O!SO!", &PyList_Type, &lines, &found, &PyList_Type, &requests))
        return NULL;
    Py_ssize_t number = PyList_GET_SIZE(requests), taken = 0;
    if (number != PyList_GET_SIZE(lines) || PyBytes_GET_SIZE(found) != number * (Py_ssize_t)sizeof(Head)
        || state.request == NULL)
        Py_RETURN_NONE;
    const Head *head = (const Head *)PyBytes_AS_STRING(found);
    Row *rows = PyMem_New(Row, number ? number : 1);
    if (rows == NULL || (kept = PyList_New(0)) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    int64_t least = INT64_MAX, most = INT64_MIN, least_past = INT64_MAX;
    for (Py_ssize_t i = 0; i < number; i++, head++) {
        PyObject *request = PyList_GET_ITEM(requests, i);
        int is_request = (PyObject *)Py_TYPE(request) == state.request;
        if (!is_request && (PyObject *)Py_TYPE(request) != state.session)
            goto done;
        int simple = same_text(request, is_request ? &state.request_id : &state.session_id,
                               PyBytes_AS_STRING(PyList_GET_ITEM(lines, i)) + head->id, (Py_ssize_t)head->id_length);
        if (simple > 0 && !is_request)
            continue;
        if (simple > 0) {
            PyObject *event = value_of(request, &state.request_event);
            simple = event == NULL ? -1 : PyUnicode_Compare(event, state.event) == 0;
            Py_XDECREF(event);
        }
        if (simple > 0)
            simple = row_of(request, head, rows + taken);
        if (simple <= 0)
            goto done;
        int64_t ahead = rows[taken].past - rows[taken].total - rows[taken].stages[CONNECT];
        least = ahead < least ? ahead : least;
        most = ahead > most ? ahead : most;
        least_past = rows[taken].past < least_past ? rows[taken].past : least_past;
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

static PyMethodDef methods[] = {
    {"configure", configure, METH_VARARGS, "Tell the types, names and bounds of headroom.py, once."},
    {"heads", heads, METH_O, "heads(lines): (what they begin with, for `columns`; their payloads as lines), or None"},
    {"columns", columns, METH_VARARGS, "columns(lines, heads, requests): (kept, (time, total, …)), or None"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "otel_logtail.observers._headroom",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__headroom(void)
{
    return PyModule_Create(&definition);
}
