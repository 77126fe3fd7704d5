/* The hot path's loops over one chunk, and over rows of counts.

   Each function has a twin in Python, which gives the same and is used if this module is not built: find_lines in
   lines.py; _count, _count_columns, add_to, extent and places_from in counts.py; find_runs in intervals.py; _sum_counts
   in rows.py; _count_texts in sparse.py; _encode_samples in blocks.py. None as an answer leaves the arguments to the
   twin. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* --- find_lines ------------------------------------------------------------------------------------------------- */

static const char *
find_back(const char *begin, const char *end, char byte)
{
#ifdef __GLIBC__
    return memrchr(begin, byte, (size_t)(end - begin));
#else
    while (end > begin)
        if (*--end == byte)
            return end;
    return NULL;
#endif
}

/* Which byte of the marker is the rarest in these bytes: looking for it alone is several times as fast as for all. */
static Py_ssize_t
rarest_of(const char *marker, Py_ssize_t length, const char *begin, const char *end)
{
    uint32_t seen[256] = {0};
    for (const char *at = begin; at < end && at < begin + 4096; at++)
        seen[(unsigned char)*at]++;
    Py_ssize_t rarest = 0;
    for (Py_ssize_t i = 1; i < length; i++)
        if (seen[(unsigned char)marker[i]] < seen[(unsigned char)marker[rarest]])
            rarest = i;
    return rarest;
}

static const char *
find_marker(const char *at, const char *end, const char *marker, Py_ssize_t length, Py_ssize_t rarest)
{
    const char *begin = at;
    for (Py_ssize_t wrong = 0; end - at >= length; at++, wrong++) {
        if (wrong * 128 > at - begin + 4096) /* it is not that rare here */
            return memmem(at, (size_t)(end - at), marker, (size_t)length);
        at = memchr(at + rarest, marker[rarest], (size_t)(end - at - length + 1));
        if (at == NULL)
            return NULL;
        at -= rarest;
        if (memcmp(at, marker, (size_t)length) == 0)
            return at;
    }
    return NULL;
}

/* may_be_wrapped of framing.py: 1 if a line may have a wrapper. */
static int
may_be_wrapped(const char *begin, const char *end)
{
    Py_ssize_t length = end - begin;
    return (length > 10 && begin[10] == 'T' && begin[4] == '-' && begin[7] == '-') || (length > 0 && begin[0] == '<') ||
           (length > 9 && begin[3] == ' ' && begin[6] == ' ' && begin[9] == ':') ||
           (length >= 8 && memcmp(begin, "{\"log\":\"", 8) == 0);
}

static int
append_line(PyObject *starts, PyObject *lines, int64_t offset_, const char *begin, const char *end, int *wrapped)
{
    PyObject *number = PyLong_FromLongLong(offset_);
    if (number == NULL || PyList_Append(starts, number) < 0) {
        Py_XDECREF(number);
        return -1;
    }
    Py_DECREF(number);
    while (begin < end && *begin == '\0')
        begin++;
    if (end - begin >= 3 && memcmp(begin, "\xef\xbb\xbf", 3) == 0)
        begin += 3;
    if (end > begin && end[-1] == '\r')
        end--;
    *wrapped |= may_be_wrapped(begin, end);
    PyObject *line = PyBytes_FromStringAndSize(begin, end - begin);
    if (line == NULL || PyList_Append(lines, line) < 0) {
        Py_XDECREF(line);
        return -1;
    }
    Py_DECREF(line);
    return 0;
}

static PyObject *
find_lines(PyObject *module, PyObject *args)
{
    Py_buffer buffer, marker;
    Py_ssize_t begin, end;
    long long first;
    if (!PyArg_ParseTuple(args, "y*y*nnL", &buffer, &marker, &begin, &end, &first))
        return NULL;
    PyObject *starts = PyList_New(0), *lines = PyList_New(0), *found = NULL;
    if (starts == NULL || lines == NULL)
        goto done;
    if (begin < 0 || begin > end || end > buffer.len) {
        PyErr_SetString(PyExc_ValueError, "begin and end lie outside of the buffer");
        goto done;
    }
    const char *base = (const char *)buffer.buf + begin, *last = (const char *)buffer.buf + end, *at = base;
    int wrapped = 0;
    Py_ssize_t rarest = rarest_of(marker.buf, marker.len, at, last);
    while (at < last) {
        const char *hit = marker.len ? find_marker(at, last, marker.buf, marker.len, rarest) : at;
        if (hit == NULL)
            break;
        const char *stop = memchr(hit, '\n', (size_t)(last - hit));
        if (stop == NULL) /* the rest after the last newline is not a line */
            break;
        const char *start = find_back(at, hit, '\n');
        start = start == NULL ? at : start + 1;
        if (append_line(starts, lines, first + (start - base), start, stop, &wrapped) < 0)
            goto done;
        at = stop + 1;
    }
    found = PyTuple_Pack(3, starts, lines, wrapped ? Py_True : Py_False);
done:
    Py_XDECREF(starts);
    Py_XDECREF(lines);
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&marker);
    return found;
}

/* --- count ------------------------------------------------------------------------------------------------------ */

#define PER_OCTAVE 64 /* 1 << SCALE of counts.py; a test compares them */
#define LOWEST (-30 * PER_OCTAVE) /* 1 ns is 2**-29.9 s */
#define BUCKETS (64 * PER_OCTAVE)  /* up to 2**63 ns, which is 2**33.1 s */
#define MOST_BOUNDS 64

typedef struct {
    int64_t count, sum, min, max, zeros;
    int number;
    int64_t bounds[MOST_BOUNDS];
    int64_t explicit_[MOST_BOUNDS + 1];
    uint32_t *exponential;
    int lowest, highest; /* of the exponential buckets that hold something */
} Counted;

static double offset; /* log2(1e9) * PER_OCTAVE, by the C library that the twin uses too */

static int
read_bounds(PyObject *bounds, Counted *into)
{
    if (!PyTuple_Check(bounds) || PyTuple_Size(bounds) > MOST_BOUNDS)
        return 0;
    into->number = (int)PyTuple_Size(bounds);
    for (int i = 0; i < into->number; i++) {
        into->bounds[i] = PyLong_AsLongLong(PyTuple_GetItem(bounds, i));
        if (into->bounds[i] == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            return 0;
        }
    }
    return 1;
}

static void
start_count(Counted *counted)
{
    counted->count = counted->sum = counted->max = counted->zeros = 0;
    counted->min = INT64_MAX;
    memset(counted->explicit_, 0, sizeof counted->explicit_);
    if (counted->lowest <= counted->highest)
        memset(counted->exponential + counted->lowest, 0,
               (size_t)(counted->highest - counted->lowest + 1) * sizeof *counted->exponential);
    counted->lowest = BUCKETS;
    counted->highest = -1;
}

/* Returns 0 if the number cannot be counted here. */
static int
count_ns(Counted *counted, int64_t ns)
{
    if (ns < 0 || counted->count == UINT32_MAX || __builtin_add_overflow(counted->sum, ns, &counted->sum))
        return 0;
    counted->count++;
    if (ns < counted->min)
        counted->min = ns;
    if (ns > counted->max)
        counted->max = ns;
    int low = 0, high = counted->number;
    while (low < high) { /* bounds are upper-inclusive: the first that is not below the value */
        int middle = (low + high) / 2;
        if (counted->bounds[middle] < ns)
            low = middle + 1;
        else
            high = middle;
    }
    counted->explicit_[low]++;
    if (ns == 0) {
        counted->zeros++;
        return 1;
    }
    int bucket = (int)ceil(log2((double)ns) * PER_OCTAVE - offset) - 1 - LOWEST;
    if (bucket < 0 || bucket >= BUCKETS)
        return 0;
    counted->exponential[bucket]++;
    if (bucket < counted->lowest)
        counted->lowest = bucket;
    if (bucket > counted->highest)
        counted->highest = bucket;
    return 1;
}

static int
count_one(Counted *counted, PyObject *value)
{
    int overflow;
    if (!PyLong_CheckExact(value))
        return 0;
    int64_t ns = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow && count_ns(counted, ns);
}

static PyObject *
result_of(const Counted *counted)
{
    PyObject *explicit_ = PyList_New(counted->number + 1), *exponential = PyDict_New();
    if (explicit_ == NULL || exponential == NULL)
        goto failed;
    for (int i = 0; i <= counted->number; i++) {
        PyObject *number = PyLong_FromLongLong(counted->explicit_[i]);
        if (number == NULL)
            goto failed;
        PyList_SetItem(explicit_, i, number);
    }
    for (int i = counted->lowest; i <= counted->highest; i++) {
        if (counted->exponential[i] == 0)
            continue;
        PyObject *index = PyLong_FromLong(i + LOWEST), *number = PyLong_FromUnsignedLong(counted->exponential[i]);
        int failed = index == NULL || number == NULL || PyDict_SetItem(exponential, index, number) < 0;
        Py_XDECREF(index);
        Py_XDECREF(number);
        if (failed)
            goto failed;
    }
    return Py_BuildValue("LLLLNNL", (long long)counted->count, (long long)counted->sum, (long long)counted->min,
                         (long long)counted->max, explicit_, exponential, (long long)counted->zeros);
failed:
    Py_XDECREF(explicit_);
    Py_XDECREF(exponential);
    return NULL;
}

static PyObject *
count(PyObject *module, PyObject *args)
{
    PyObject *values, *bounds, *result = NULL;
    if (!PyArg_ParseTuple(args, "OO", &values, &bounds))
        return NULL;
    PyObject *sequence = PySequence_Tuple(values);
    if (sequence == NULL)
        return NULL;
    Counted counted = {.exponential = PyMem_Calloc(BUCKETS, sizeof(uint32_t)), .lowest = BUCKETS, .highest = -1};
    if (counted.exponential == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Py_ssize_t size = PyTuple_Size(sequence);
    int simple = size > 0 && size < UINT32_MAX && read_bounds(bounds, &counted);
    start_count(&counted);
    for (Py_ssize_t i = 0; simple && i < size; i++)
        simple = count_one(&counted, PyTuple_GetItem(sequence, i));
    if (PyErr_Occurred())
        goto done;
    result = simple ? result_of(&counted) : Py_NewRef(Py_None);
done:
    PyMem_Free(counted.exponential);
    Py_DECREF(sequence);
    return result;
}

static PyObject *
count_columns(PyObject *module, PyObject *args)
{
    PyObject *rows, *bounds, *results = NULL;
    Py_ssize_t begin, end, width;
    if (!PyArg_ParseTuple(args, "O!nnnO", &PyList_Type, &rows, &begin, &end, &width, &bounds))
        return NULL;
    Counted counted = {.exponential = PyMem_Calloc(BUCKETS, sizeof(uint32_t)), .lowest = BUCKETS, .highest = -1};
    if (counted.exponential == NULL)
        return PyErr_NoMemory();
    int simple = begin >= 0 && begin < end && end <= PyList_Size(rows) && end - begin < UINT32_MAX
                 && read_bounds(bounds, &counted);
    for (Py_ssize_t i = begin; simple && i < end; i++) {
        PyObject *row = PyList_GetItem(rows, i);
        simple = PyTuple_Check(row) && PyTuple_Size(row) == width;
    }
    if (!simple || (results = PyList_New(width)) == NULL)
        goto done;
    for (Py_ssize_t column = 0; column < width; column++) {
        start_count(&counted);
        for (Py_ssize_t i = begin; simple && i < end; i++) {
            PyObject *value = PyTuple_GetItem(PyList_GetItem(rows, i), column);
            simple = value == Py_None || count_one(&counted, value);
        }
        PyObject *result = simple && counted.count ? result_of(&counted) : Py_NewRef(Py_None);
        if (result == NULL) {
            Py_CLEAR(results);
            goto done;
        }
        PyList_SetItem(results, column, result);
    }
done:
    PyMem_Free(counted.exponential);
    if (PyErr_Occurred()) {
        Py_XDECREF(results);
        return NULL;
    }
    if (!simple) {
        Py_XDECREF(results);
        return Py_NewRef(Py_None);
    }
    return results;
}

static PyObject *
add_to(PyObject *module, PyObject *args)
{
    PyObject *into, *more, *index, *number;
    if (!PyArg_ParseTuple(args, "O!O!", &PyDict_Type, &into, &PyDict_Type, &more))
        return NULL;
    if (into == more) {
        PyErr_SetString(PyExc_ValueError, "a dict can't be added to itself");
        return NULL;
    }
    for (Py_ssize_t at = 0; PyDict_Next(more, &at, &index, &number);) {
        PyObject *known = PyDict_GetItemWithError(into, index);
        if (known == NULL && PyErr_Occurred())
            return NULL;
        PyObject *sum = known == NULL ? Py_NewRef(number) : PyNumber_Add(known, number);
        int failed = sum == NULL || PyDict_SetItem(into, index, sum) < 0;
        Py_XDECREF(sum);
        if (failed)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* --- sum_counts ------------------------------------------------------------------------------------------------- */

/* An integer of a store's JSON, which has no spaces; returns what is behind it, or NULL. */
static const char *
integer_at(const char *at, const char *end, int64_t *number)
{
    int negative = at < end && *at == '-', digits = 0;
    uint64_t value = 0;
    const char *first = at + negative;
    for (at = first; at < end && (unsigned char)(*at - '0') <= 9 && digits < 18; at++, digits++)
        value = value * 10 + (uint64_t)(*at - '0');
    *number = negative ? -(int64_t)value : (int64_t)value;
    /* a leading zero is not JSON: a decoder rejects it */
    return digits && (*first != '0' || (digits == 1 && !negative)) ? at : NULL;
}

/* Adds a JSON array of counts of the explicit buckets; returns whether it holds `count` in all. */
static int
add_explicit(Counted *into, const char *at, const char *end, int64_t count)
{
    int64_t number, all = 0;
    for (int i = 0; i <= into->number; i++) {
        if (at == end || *at++ != (i ? ',' : '[') || (at = integer_at(at, end, &number)) == NULL || number < 0
            || __builtin_add_overflow(into->explicit_[i], number, &into->explicit_[i])
            || __builtin_add_overflow(all, number, &all))
            return 0;
    }
    return end - at == 1 && *at == ']' && all == count;
}

/* The same of a JSON object of counts by the index of their bucket. */
static int
add_exponential(Counted *into, const char *at, const char *end, int64_t count)
{
    int64_t index, number, all = 0;
    uint64_t named[BUCKETS / 64] = {0};
    if (end - at == 2 && memcmp(at, "{}", 2) == 0)
        return count == 0;
    for (char before = '{';; before = ',') {
        if (end - at < 2 || *at++ != before || *at++ != '"' || (at = integer_at(at, end, &index)) == NULL
            || end - at < 2 || *at++ != '"' || *at++ != ':' || (at = integer_at(at, end, &number)) == NULL
            || index < LOWEST || index >= LOWEST + BUCKETS || number <= 0 || number > UINT32_MAX)
            return 0;
        int bucket = (int)index - LOWEST;
        uint32_t *bucket_ = into->exponential + bucket;
        uint64_t bit = UINT64_C(1) << bucket % 64;
        if (named[bucket / 64] & bit)
            return 0; /* a duplicate */
        named[bucket / 64] |= bit;
        if (__builtin_add_overflow(*bucket_, (uint32_t)number, bucket_) || __builtin_add_overflow(all, number, &all))
            return 0;
        if (bucket < into->lowest)
            into->lowest = bucket;
        if (bucket > into->highest)
            into->highest = bucket;
        if (at < end && *at == '}')
            return end - at == 1 && all == count;
    }
}

static int
add_row(Counted *into, PyObject *row)
{
    int64_t values[7];
    PyObject *text[2] = {NULL, NULL};
    if (!PyTuple_Check(row) || PyTuple_Size(row) != 7)
        return 0;
    for (int i = 0; i < 7; i++) {
        PyObject *value = PyTuple_GetItem(row, i);
        int overflow;
        if (i == 4 || i == 5) {
            if (!PyBytes_CheckExact(value))
                return 0;
            text[i - 4] = value;
            continue;
        }
        if (!PyLong_CheckExact(value))
            return 0;
        values[i] = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow || values[i] < 0)
            return 0;
    }
    if (values[0] == 0 || __builtin_add_overflow(into->count, values[0], &into->count)
        || __builtin_add_overflow(into->sum, values[1], &into->sum)
        || __builtin_add_overflow(into->zeros, values[6], &into->zeros))
        return 0;
    if (values[2] < into->min)
        into->min = values[2];
    if (values[3] > into->max)
        into->max = values[3];
    const char *explicit_ = PyBytes_AsString(text[0]), *exponential = PyBytes_AsString(text[1]);
    return add_explicit(into, explicit_, explicit_ + PyBytes_Size(text[0]), values[0])
           && add_exponential(into, exponential, exponential + PyBytes_Size(text[1]), values[0] - values[6]);
}

static PyObject *
sum_counts(PyObject *module, PyObject *args)
{
    PyObject *rows;
    Py_ssize_t bounds;
    if (!PyArg_ParseTuple(args, "O!n", &PyList_Type, &rows, &bounds))
        return NULL;
    if (bounds < 0 || bounds > MOST_BOUNDS)
        Py_RETURN_NONE;
    Counted counted = {.exponential = PyMem_Calloc(BUCKETS, sizeof(uint32_t)), .lowest = BUCKETS, .highest = -1};
    if (counted.exponential == NULL)
        return PyErr_NoMemory();
    counted.number = (int)bounds;
    start_count(&counted);
    int simple = PyList_Size(rows) > 0;
    for (Py_ssize_t i = 0; simple && i < PyList_Size(rows); i++)
        simple = add_row(&counted, PyList_GetItem(rows, i));
    PyObject *result = simple ? result_of(&counted) : Py_NewRef(Py_None);
    PyMem_Free(counted.exponential);
    return result;
}

/* --- count_texts ------------------------------------------------------------------------------------------------ */

/* Counts a JSON array of integers, at least one; returns what is behind it, or NULL. */
static const char *
count_array(Counted *into, const char *at, const char *end)
{
    int64_t ns;
    for (char before = '[';; before = ',') {
        if (at == end || *at++ != before || (at = integer_at(at, end, &ns)) == NULL || !count_ns(into, ns))
            return NULL;
        if (at < end && *at == ']')
            return at + 1;
    }
}

/* Counts the next array of each text, from where the last one ended. `last`: nothing but the end follows. */
static int
count_next(Counted *into, PyObject *texts, const char **next, char before, int last)
{
    for (Py_ssize_t i = 0; i < PyList_Size(texts); i++) {
        PyObject *text = PyList_GetItem(texts, i);
        const char *end = PyBytes_AsString(text) + PyBytes_Size(text), *at = next[i];
        if (at == end || *at++ != before || (at = count_array(into, at, end)) == NULL
            || (last && !(end - at == 1 && *at == ']')))
            return 0;
        next[i] = at;
    }
    return 1;
}

static PyObject *
count_texts(PyObject *module, PyObject *args)
{
    PyObject *texts, *bounds, *results = NULL;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &texts, &PyTuple_Type, &bounds))
        return NULL;
    Py_ssize_t size = PyList_Size(texts), width = PyTuple_Size(bounds);
    const char **next = PyMem_Calloc((size_t)size + 1, sizeof *next);
    Counted counted = {.exponential = PyMem_Calloc(BUCKETS, sizeof(uint32_t)), .lowest = BUCKETS, .highest = -1};
    int simple = size > 0 && width > 0;
    if (next == NULL || counted.exponential == NULL || (results = PyList_New(width)) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; simple && i < size; i++) {
        PyObject *text = PyList_GetItem(texts, i);
        if ((simple = PyBytes_CheckExact(text)))
            next[i] = PyBytes_AsString(text);
    }
    for (Py_ssize_t place = 0; simple && place < width; place++) {
        start_count(&counted);
        simple = read_bounds(PyTuple_GetItem(bounds, place), &counted)
                 && count_next(&counted, texts, next, place ? ',' : '[', place == width - 1);
        PyObject *result = simple ? result_of(&counted) : Py_NewRef(Py_None);
        if (result == NULL) {
            Py_CLEAR(results);
            goto done;
        }
        PyList_SetItem(results, place, result);
    }
    if (!simple) {
        Py_DECREF(results);
        results = Py_NewRef(Py_None);
    }
done:
    PyMem_Free(next);
    PyMem_Free(counted.exponential);
    return results;
}

/* --- extent, places_from, encode_samples ------------------------------------------------------------------------- */

#define DIGITS 20 /* of an int64, with its sign */

static const char hundred[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                              "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
                              "9899";

static char *
put(char *at, int64_t number)
{
    char digits[DIGITS], *first = digits + DIGITS;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    if (number < 0)
        *at++ = '-';
    for (; rest >= 10; rest /= 100)
        memcpy(first -= 2, hundred + rest % 100 * 2, 2);
    if (rest || first == digits + DIGITS)
        *--first = (char)('0' + rest);
    memcpy(at, first, (size_t)(digits + DIGITS - first));
    return at + (digits + DIGITS - first);
}

static int
number_of(PyObject *list, Py_ssize_t index, int64_t *number)
{
    int overflow;
    PyObject *value = PyList_GetItem(list, index);
    if (!PyLong_CheckExact(value))
        return 0;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

static PyObject *
extent(PyObject *module, PyObject *values)
{
    int64_t least, most, number, before;
    int rising = 1;
    if (!PyList_Check(values) || PyList_Size(values) == 0 || !number_of(values, 0, &before))
        Py_RETURN_NONE;
    least = most = before;
    for (Py_ssize_t i = 1; i < PyList_Size(values); i++, before = number) {
        if (!number_of(values, i, &number))
            Py_RETURN_NONE;
        rising &= before <= number;
        least = number < least ? number : least;
        most = number > most ? number : most;
    }
    return Py_BuildValue("LLO", (long long)least, (long long)most, rising ? Py_True : Py_False);
}

static PyObject *
places_from(PyObject *module, PyObject *args)
{
    PyObject *values, *places;
    PyObject *bound_;
    int64_t bound, number;
    int overflow;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &values, &PyLong_Type, &bound_))
        return NULL;
    bound = PyLong_AsLongLongAndOverflow(bound_, &overflow);
    if (overflow)
        Py_RETURN_NONE;
    if ((places = PyList_New(0)) == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_Size(values); i++) {
        if (!number_of(values, i, &number)) {
            Py_DECREF(places);
            Py_RETURN_NONE;
        }
        if (number < bound)
            continue;
        PyObject *place = PyLong_FromSsize_t(i);
        if (place == NULL || PyList_Append(places, place) < 0) {
            Py_XDECREF(place);
            Py_DECREF(places);
            return NULL;
        }
        Py_DECREF(place);
    }
    return places;
}

static PyObject *
encode_samples(PyObject *module, PyObject *args)
{
    PyObject *offsets, *times, *durations, *kinds, *rows;
    long long first, first_ns;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!LL", &PyList_Type, &offsets, &PyList_Type, &times, &PyList_Type, &durations,
                          &PyList_Type, &kinds, &PyList_Type, &rows, &first, &first_ns))
        return NULL;
    Py_ssize_t size = PyList_Size(offsets), width = 0;
    if (size == 0 || PyList_Size(times) != size || PyList_Size(durations) != size
        || PyList_Size(kinds) != size || PyList_Size(rows) != size)
        Py_RETURN_NONE;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *row = PyList_GetItem(rows, i);
        if (!PyTuple_Check(row))
            Py_RETURN_NONE;
        width += PyTuple_Size(row);
    }
    char *text = PyMem_Malloc((size_t)(size * 4 + width) * (DIGITS + 1) + (size_t)size * 8 + 2);
    if (text == NULL)
        return PyErr_NoMemory();
    char *at = text;
    *at++ = '[';
    for (Py_ssize_t i = 0; i < size; i++) {
        int64_t offset_, time, duration, kind, past, past_ns;
        if (!number_of(offsets, i, &offset_) || !number_of(times, i, &time) || !number_of(durations, i, &duration)
            || !number_of(kinds, i, &kind) || __builtin_sub_overflow(offset_, first, &past)
            || __builtin_sub_overflow(time, first_ns, &past_ns))
            goto not_simple;
        if (i)
            *at++ = ',';
        *at++ = '[';
        at = put(at, past);
        *at++ = ',';
        at = put(at, past_ns);
        *at++ = ',';
        at = put(at, duration);
        *at++ = ',';
        at = put(at, kind);
        *at++ = ',';
        *at++ = '[';
        PyObject *row = PyList_GetItem(rows, i);
        Py_ssize_t columns = PyTuple_Size(row);
        while (columns > 1 && PyTuple_GetItem(row, columns - 1) == Py_None)
            columns--;
        for (Py_ssize_t column = 0; column < columns; column++) {
            PyObject *value = PyTuple_GetItem(row, column);
            if (column)
                *at++ = ',';
            if (value == Py_None) {
                memcpy(at, "null", 4);
                at += 4;
                continue;
            }
            int overflow;
            if (!PyLong_CheckExact(value))
                goto not_simple;
            int64_t ns = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow)
                goto not_simple;
            at = put(at, ns);
        }
        *at++ = ']';
        *at++ = ']';
    }
    *at++ = ']';
    PyObject *result = PyUnicode_FromStringAndSize(text, at - text);
    PyMem_Free(text);
    return result;
not_simple:
    PyMem_Free(text);
    Py_RETURN_NONE;
}

/* --- find_runs -------------------------------------------------------------------------------------------------- */

/* Writes a JSON array of the values at a place of rows[begin:end], or nothing if there are none; returns what is behind
   it, or NULL if one is not an integer. Place 0 has the durations, and the others the columns of the rows. */
static char *
put_values(char *at, PyObject *durations, PyObject *rows, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t place)
{
    char *first = at;
    for (Py_ssize_t i = begin; i < end; i++) {
        PyObject *value = place ? PyTuple_GetItem(PyList_GetItem(rows, i), place - 1) : PyList_GetItem(durations, i);
        int overflow;
        if (value == Py_None)
            continue;
        if (!PyLong_CheckExact(value))
            return NULL;
        int64_t ns = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow)
            return NULL;
        *at = at == first ? '[' : ',';
        at = put(at + 1, ns);
    }
    if (at != first)
        *at++ = ']';
    return at;
}

/* Returns the text of an interval's values, and which places have some; NULL without an error: not here. */
static PyObject *
text_of_values(PyObject *durations, PyObject *rows, Py_ssize_t begin, Py_ssize_t end, uint64_t *ran)
{
    Py_ssize_t width = 0;
    for (Py_ssize_t i = begin; i < end; i++) {
        PyObject *row = PyList_GetItem(rows, i);
        if (!PyTuple_Check(row) || PyTuple_Size(row) > 62 || (i > begin && PyTuple_Size(row) != width))
            return NULL;
        width = PyTuple_Size(row);
    }
    char *text = PyMem_Malloc((size_t)(width + 1) * ((size_t)(end - begin) * (DIGITS + 1) + 2) + 2);
    if (text == NULL)
        return PyErr_NoMemory();
    char *at = text;
    PyObject *result = NULL;
    *at++ = '[';
    for (Py_ssize_t place = 0; place <= width; place++) {
        char *behind = put_values(at + (*ran != 0), durations, rows, begin, end, place);
        if (behind == NULL)
            goto done;
        if (behind == at + (*ran != 0))
            continue;
        if (*ran)
            *at = ',';
        *ran |= UINT64_C(1) << place;
        at = behind;
    }
    *at++ = ']';
    result = PyUnicode_FromStringAndSize(text, at - text);
done:
    PyMem_Free(text);
    return result;
}

static PyObject *
find_runs(PyObject *module, PyObject *args)
{
    PyObject *times, *durations, *rows, *runs;
    long long interval, before;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!O!O!LLn", &PyList_Type, &times, &PyList_Type, &durations, &PyList_Type, &rows,
                          &interval, &before, &most))
        return NULL;
    Py_ssize_t size = PyList_Size(times);
    if (interval <= 0 || PyList_Size(durations) != size || PyList_Size(rows) != size)
        Py_RETURN_NONE;
    if ((runs = PyList_New(0)) == NULL)
        return NULL;
    int64_t time, slot, last = -1;
    for (Py_ssize_t begin = 0, end; begin < size; begin = end, last = slot) {
        if (!number_of(times, begin, &time) || time < 0 || (slot = time / interval) <= last)
            goto not_simple;
        for (end = begin + 1; end < size; end++)
            if (!number_of(times, end, &time) || time < 0)
                goto not_simple;
            else if (time / interval != slot)
                break;
        uint64_t ran = 0;
        PyObject *text = slot < before && end - begin <= most ? text_of_values(durations, rows, begin, end, &ran)
                                                              : Py_NewRef(Py_None);
        if (text == NULL && !PyErr_Occurred())
            goto not_simple;
        PyObject *run = text == NULL ? NULL : Py_BuildValue("LnnKN", (long long)slot, begin, end, (unsigned long long)ran, text);
        if (run == NULL || PyList_Append(runs, run) < 0) {
            Py_XDECREF(run);
            Py_DECREF(runs);
            return NULL;
        }
        Py_DECREF(run);
    }
    return runs;
not_simple:
    Py_DECREF(runs);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"find_lines", find_lines, METH_VARARGS, "find_lines(buffer, marker, begin, end, base): see scan.py"},
    {"count", count, METH_VARARGS, "count(values, bounds): see counts.py"},
    {"count_columns", count_columns, METH_VARARGS, "count_columns(rows, begin, end, width, bounds): see counts.py"},
    {"add_to", add_to, METH_VARARGS, "add_to(into, more): see counts.py"},
    {"sum_counts", sum_counts, METH_VARARGS, "sum_counts(rows, number of bounds): see rows.py"},
    {"count_texts", count_texts, METH_VARARGS, "count_texts(texts, bounds of each series): see sparse.py"},
    {"find_runs", find_runs, METH_VARARGS,
     "find_runs(times, durations, rows, interval, before, most): see intervals.py"},
    {"extent", extent, METH_O, "extent(values): see counts.py"},
    {"places_from", places_from, METH_VARARGS, "places_from(values, bound): see counts.py"},
    {"encode_samples", encode_samples, METH_VARARGS,
     "encode_samples(offsets, times, durations, kinds, rows, first, first_ns): see rows.py"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "otel_logtail.engine._hot",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__hot(void)
{
    offset = log2(1e9) * PER_OCTAVE;
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddIntConstant(module, "PER_OCTAVE", PER_OCTAVE) < 0)
        Py_CLEAR(module);
    return module;
}
