using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>The methods that values have. Those that change a list or dict, and those with underscores, are undefined, as in Jinja2's immutable sandbox.</summary>
internal static class BoundMethods
{
    private static readonly HashSet<string> Changing =
        ["append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"];

    private static readonly RoutineTable OfSequences = new()
    {
        { "index", "value", 1, (run, value, given) => Boxed.Of(Array.FindIndex(Paid(value, run), item => PythonEquality.AreEqual(item, given[0]!, run)) is >= 0 and var at ? at : throw new TemplateError("value is not in list")) },
        { "count", "value", 1, (run, value, given) => Boxed.Of(Paid(value, run).Count(item => PythonEquality.AreEqual(item, given[0]!, run))) },
        { "copy", (_, value) => value },
    };

    /// <returns>The bound method, something undefined where the sandbox forbids it, or null when there is no such method.</returns>
    public static object? Find(object value, string name)
    {
        var methods = value switch
        {
            string or Markup => StringMethods.All,
            DictValue => DictMethods.All,
            SequenceValue => OfSequences,
            _ => null,
        };
        if (methods is null)
            return null;
        if (methods.TryGetValue(name, out var method))
            return new Function(name, (run, arguments) => Invoke(method, run, value, arguments));
        return name.StartsWith("__", StringComparison.Ordinal) || Changes(value, name)
            ? new Undefined($"access to attribute '{name}' of '{PythonType.Name(value)}' object is unsafe.")
            : null;
    }

    private static object Invoke(Routine method, Rendering run, object value, Arguments arguments)
    {
        var result = method.Invoke(run, value, arguments);
        return value is Markup && result is string text ? new Markup(text) : result;
    }

    private static bool Changes(object value, string name) => Changing.Contains(name) && (value, name) switch
    {
        (DictValue, "clear" or "pop" or "popitem" or "setdefault" or "update") => true,
        (ListValue, not ("popitem" or "setdefault" or "update")) => true,
        _ => false,
    };

    private static object[] Paid(object value, Rendering run)
    {
        var items = ((SequenceValue)value).Items;
        run.ChargeItems(items.Length);
        return items;
    }
}
