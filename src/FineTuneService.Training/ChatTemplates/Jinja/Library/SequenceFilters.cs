using System.Globalization;
using System.Runtime.ExceptionServices;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>Jinja2's filters on lists and dicts. Where Jinja2 gives a generator, this gives the list of what it would yield.</summary>
internal static class SequenceFilters
{
    public static RoutineTable All { get; } = new()
    {
        { "list", (run, value) => new ListValue(PythonOperators.Items(value, run)) },
        { "first", (run, value) => PythonOperators.Items(value, run) is [var first, ..] ? first : new Undefined("No first item, sequence was empty.") },
        { "last", (run, value) => PythonOperators.Items(value, run) is [.., var last] ? last : new Undefined("No last item, sequence was empty.") },
        { "items", (run, value) => value is Undefined ? ListValue.Empty : value is DictValue dict ? DictMethods.Items(dict, run) : throw new TemplateError("Can only get item pairs from a mapping.") },
        { "join", "d attribute", 0, Join },
        { "map", Map },
        { "select", (run, value, arguments) => Select(value, arguments, attribute: false, keep: true, run) },
        { "reject", (run, value, arguments) => Select(value, arguments, attribute: false, keep: false, run) },
        { "selectattr", (run, value, arguments) => Select(value, arguments, attribute: true, keep: true, run) },
        { "rejectattr", (run, value, arguments) => Select(value, arguments, attribute: true, keep: false, run) },
        { "sort", "reverse case_sensitive attribute", 0, (run, value, given) => new ListValue(Sorted(PythonOperators.Items(value, run), Key(given[2], given.Flag(1), run), given.Flag(0), run)) },
        { "dictsort", "case_sensitive by reverse", 0, DictSort },
        { "unique", "case_sensitive attribute", 0, Unique },
        { "reverse", (run, value) => PythonText.TryGet(value, out _) ? PythonAccess.Slice(value, None.Value, None.Value, Boxed.Of(-1), run) : new ListValue([.. Copy(value, run).Reverse()]) },
        { "min", "case_sensitive attribute", 0, (run, value, given) => Extreme(value, given, -1, run) },
        { "max", "case_sensitive attribute", 0, (run, value, given) => Extreme(value, given, 1, run) },
        { "sum", "attribute start", 0, (run, value, given) => PythonOperators.Items(value, run).Aggregate(given[1] ?? Boxed.Of(0), (sum, item) => PythonOperators.Add(sum, Attribute(item, given[0], run), run)) },
        { "batch", "linecount fill_with", 1, Batch },
    };

    private static object[] Copy(object value, Rendering run)
    {
        var items = PythonOperators.Items(value, run);
        run.ChargeItems(items.Length);
        return [.. items];
    }

    private static object Join(Rendering run, object value, object?[] given)
    {
        var separator = given.Text(0, run);
        var texts = Array.ConvertAll(PythonOperators.Items(value, run), item => PythonText.Str(Attribute(item, given[1], run), run));
        run.ChargeItems(texts.Length);
        foreach (var text in texts)
            run.ChargeText(text.Length);
        run.ChargeText(separator.Length, texts.Length);
        return run.Text(string.Join(separator, texts));
    }

    /// <summary><c>map(attribute='a.b', default=…)</c>, or <c>map('filter', …)</c>.</summary>
    private static object Map(Rendering run, object value, Arguments arguments)
    {
        var items = Copy(value, run);
        if (arguments.Positional.Length == 0 && arguments.Keyword("attribute") is { } attribute)
        {
            var fallback = arguments.Keyword("default");
            return new ListValue(Array.ConvertAll(items, item => Attribute(item, attribute, run) is var found && found is Undefined && fallback is not null ? fallback : found));
        }
        var (filter, rest) = Named(Filters.All, "filter", arguments, 0, run);
        return new ListValue(Array.ConvertAll(items, item => Stepped(run, filter!, item, rest)));
    }

    private static ListValue Select(object value, Arguments arguments, bool attribute, bool keep, Rendering run)
    {
        if (attribute && arguments.Positional.Length == 0)
            throw new TemplateError("missing parameter for attribute name");
        var path = attribute ? arguments.Positional[0] : null;
        var (test, rest) = Named(Tests.All, "test", arguments, attribute ? 1 : 0, run);
        var items = PythonOperators.Items(value, run);
        run.ChargeItems(items.Length);
        return new ListValue(Array.FindAll(items, item =>
        {
            var subject = Attribute(item, path, run);
            return keep == PythonOperators.IsTrue(test is null ? subject : Stepped(run, test, subject, rest));
        }));
    }

    private static object Stepped(Rendering run, Routine routine, object subject, Arguments arguments)
    {
        run.Step();
        return routine.Invoke(run, subject, arguments);
    }

    private static (Routine? Routine, Arguments Given) Named(IReadOnlyDictionary<string, Routine> routines, string kind, Arguments arguments, int at, Rendering run)
    {
        if (arguments.Positional.Length <= at)
            return kind == "test" ? (null, arguments) : throw new TemplateError("map requires a filter argument");
        var name = PythonText.Str(arguments.Positional[at], run);
        return (routines.GetValueOrDefault(name) ?? throw new TemplateError($"No {kind} named '{name}'"), arguments with { Positional = arguments.Positional[(at + 1)..] });
    }

    /// <summary>The value at a path such as <c>function.name</c>; without a path, the item itself.</summary>
    private static object Attribute(object item, object? path, Rendering run)
    {
        if (path is null or None)
            return item;
        if (!PythonText.TryGet(path, out var dotted))
            return PythonAccess.Item(item, path, run);
        foreach (var part in dotted.Split('.'))
            item = PythonAccess.Item(item, long.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? Boxed.Of(index) : part, run);
        return item;
    }

    private static Func<object, object> Key(object? path, bool caseSensitive, Rendering run) => item =>
    {
        var value = Attribute(item, path, run);
        return !caseSensitive && PythonText.TryGet(value, out var text) ? run.Text(StringMethods.Lower(text)) : value;
    };

    private static object[] Sorted(object[] items, Func<object, object> key, bool descending, Rendering run)
    {
        run.ChargeItems(items.Length);
        var comparer = Comparer<object>.Create((a, b) => PythonOperators.Order(a, b, run) ?? 0);
        try
        {
            return descending ? [.. items.OrderByDescending(key, comparer)] : [.. items.OrderBy(key, comparer)];
        }
        catch (InvalidOperationException error) when (error.InnerException is { } inner)
        {
            // What a comparison throws, the sort wraps.
            ExceptionDispatchInfo.Throw(inner);
            throw;
        }
    }

    private static object DictSort(Rendering run, object value, object?[] given)
    {
        if (value is not DictValue dict)
            throw new TemplateError($"'{PythonType.Name(value)}' object has no attribute 'items'");
        var at = given.Text(1, run, "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw new TemplateError("You can only sort by either \"key\" or \"value\""),
        };
        return new ListValue(Sorted(DictMethods.Items(dict, run).Items, Key(Boxed.Of(at), given.Flag(0), run), given.Flag(2), run));
    }

    private static object Unique(Rendering run, object value, object?[] given)
    {
        var key = Key(given[1], given.Flag(0), run);
        var seen = new HashSet<object>(PythonEquality.Instance);
        return new ListValue(Array.FindAll(Copy(value, run), item =>
            key(item) is var found && PythonEquality.IsHashable(found) ? seen.Add(found) : throw new TemplateError($"unhashable type: '{PythonType.Name(found)}'")));
    }

    private static object Extreme(object value, object?[] given, int sign, Rendering run)
    {
        var key = Key(given[1], given.Flag(0), run);
        var items = PythonOperators.Items(value, run);
        if (items.Length == 0)
            return new Undefined("No aggregated item, sequence was empty.");
        return items.Aggregate((best, item) => Math.Sign(PythonOperators.Order(key(item), key(best), run) ?? 0) == sign ? item : best);
    }

    private static object Batch(Rendering run, object value, object?[] given)
    {
        var size = Math.Max(1, given.Integer(0, 1));
        var rows = Copy(value, run).Chunk(size).ToArray();
        if (given[1] is { } fill and not None && rows is [.., var last] && last.Length < size)
        {
            run.ChargeItems(size);
            rows[^1] = [.. last, .. Enumerable.Repeat(fill, size - last.Length)];
        }
        return new ListValue(Array.ConvertAll(rows, row => (object)new ListValue(row)));
    }
}
