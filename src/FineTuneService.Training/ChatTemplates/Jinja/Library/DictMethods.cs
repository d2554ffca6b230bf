using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

internal static class DictMethods
{
    public static RoutineTable All { get; } = new()
    {
        { "items", (run, value) => Items((DictValue)value, run) },
        { "keys", (run, value) => new ListValue(PythonOperators.Items(value, run)) },
        { "values", (run, value) => new ListValue(Values((DictValue)value, run)) },
        { "get", "key default", 1, (_, value, given) => Get((DictValue)value, given[0]!, given[1] ?? None.Value) },
        { "copy", (_, value) => value },
    };

    /// <summary>Pairs, in the order of the keys.</summary>
    public static ListValue Items(DictValue dict, Rendering run)
    {
        run.ChargeItems(dict.Count);
        return new([.. dict.Select(entry => new TupleValue(entry.Key, entry.Value))]);
    }

    private static object[] Values(DictValue dict, Rendering run)
    {
        run.ChargeItems(dict.Count);
        return [.. dict.Values];
    }

    private static object Get(DictValue dict, object key, object otherwise) => !PythonEquality.IsHashable(key)
        ? throw new TemplateError($"unhashable type: '{PythonType.Name(key)}'")
        : dict.TryGetValue(key, out var value) ? value : otherwise;
}
