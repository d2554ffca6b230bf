using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>The functions that every template can call: Jinja2's <c>namespace</c>, <c>range</c>, <c>dict</c> and <c>joiner</c>, transformers' <c>raise_exception</c> and <c>strftime_now</c>.</summary>
internal static class Globals
{
    // As the sandbox of Jinja2.
    private const long LongestRange = 100_000;

    public static Scope Scope { get; } = Build();

    private static Scope Build()
    {
        var scope = new Scope(null);
        Add("raise_exception", (run, arguments) => throw new TemplateError(
            PythonText.Str(arguments.Bind("raise_exception", ["message"], 1)[0]!, run), TemplateErrorKind.Raised));
        Add("strftime_now", (run, arguments) => run.Text(Strftime.Format(
            PythonText.Str(arguments.Bind("strftime_now", ["format"], 1)[0]!, run), run.Now, run)));
        Add("namespace", (run, arguments) =>
        {
            var ns = new NamespaceValue();
            foreach (var (name, value) in Entries(arguments, run))
                ns.Members[name as string ?? throw new TemplateError("names must be strings")] = value;
            return ns;
        });
        Add("dict", (run, arguments) =>
        {
            var dict = new DictValue();
            foreach (var (name, value) in Entries(arguments, run))
                dict[name] = value;
            return dict;
        });
        Add("range", Range);
        Add("joiner", (run, arguments) =>
        {
            var separator = arguments.Bind("joiner", ["sep"], 0).Text(0, run, ", ");
            var isFirst = true;
            return new Function("joiner", (_, _) =>
            {
                var text = isFirst ? "" : separator;
                isFirst = false;
                return text;
            });
        });
        return scope;

        void Add(string name, Func<Rendering, Arguments, object> body) => scope.Set(name, new Function(name, body));
    }

    private static List<(object Name, object Value)> Entries(Arguments arguments, Rendering run)
    {
        if (arguments.Positional.Length > 1 || arguments.Positional.Any(value => value is not DictValue))
            throw new TemplateError("a mapping or keywords are expected");
        var entries = arguments.Positional.Cast<DictValue>().SelectMany(dict => dict).Select(entry => (entry.Key, entry.Value))
            .Concat(arguments.Keywords.Select(keyword => ((object)keyword.Name, keyword.Value))).ToList();
        run.ChargeItems(entries.Count);
        return entries;
    }

    private static object Range(Rendering run, Arguments arguments)
    {
        if (arguments.Positional.Length is 0 or > 3 || arguments.Keywords.Length > 0)
            throw new TemplateError("range expected 1 to 3 arguments");
        var bounds = Array.ConvertAll(arguments.Positional, value =>
        {
            PythonOperators.RequireDefined(value, value);
            return PythonNumber.TryInteger(value, out var bound) ? bound : throw new TemplateError($"'{PythonType.Name(value)}' object cannot be interpreted as an integer");
        });
        var (start, stop, step) = bounds switch { [var end] => (0, end, 1), [var from, var end] => (from, end, 1), _ => (bounds[0], bounds[1], bounds[2]) };
        if (step == 0)
            throw new TemplateError("range() arg 3 must not be zero");
        var distance = step > 0 ? (Int128)stop - start : (Int128)start - stop;
        var count = distance <= 0 ? 0 : (distance - 1) / Int128.Abs(step) + 1;
        if (count > LongestRange)
            throw TemplateError.Limit($"Range too big. The sandbox blocks ranges larger than {LongestRange:N0}");
        run.ChargeItems((int)count);
        var items = new object[(int)count];
        for (var i = 0; i < items.Length; i++)
            items[i] = Boxed.Of(start + i * step);
        return new ListValue(items);
    }
}
