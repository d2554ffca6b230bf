using FineTuneService.Training.ChatTemplates.Jinja.Library;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

/// <summary>
/// <c>value.name</c>, <c>value[key]</c> and slices as Jinja2's sandbox resolves them: a dot asks for a method first and then for a key, brackets the other way round,
/// and what is absent is undefined rather than a fault. Methods are those listed in <see cref="BoundMethods"/>: nothing reflects on .NET.
/// </summary>
internal static class PythonAccess
{
    public static object Attribute(object value, string name)
    {
        if (value is Undefined undefined)
            throw new TemplateError(undefined.Message);
        return Member(value, name) ?? (value is DictValue dict && dict.TryGetValue(name, out var entry) ? entry : Missing(value, name));
    }

    public static object Item(object value, object key, Rendering run)
    {
        if (value is Undefined undefined)
            throw new TemplateError(undefined.Message);
        if (value is DictValue dict)
        {
            if (PythonEquality.IsHashable(key) && dict.TryGetValue(run.Charged(key), out var entry))
                return entry;
        }
        else if (PythonNumber.TryInteger(key, out var index) && Element(run.Charged(value), index) is { } element)
        {
            return element;
        }
        return PythonText.TryGet(key, out var name)
            ? Member(value, name) ?? Missing(value, name)
            : new Undefined($"{PythonType.Owner(value)} has no element {PythonText.Repr(key, run)}");
    }

    /// <param name="value">A string, list or tuple.</param>
    /// <param name="start">None where nothing is given, as the next two.</param>
    /// <param name="stop">Exclusive.</param>
    /// <param name="step">Negative: backwards.</param>
    /// <param name="run">Pays.</param>
    public static object Slice(object value, object start, object stop, object step, Rendering run)
    {
        PythonOperators.RequireDefined(value, value);
        var isText = PythonText.TryGet(value, out var text);
        if (!isText && value is not SequenceValue)
            throw new TemplateError($"'{PythonType.Name(value)}' object cannot be sliced");
        var by = Bound(step) ?? 1;
        if (by == 0)
            throw new TemplateError("slice step cannot be zero");
        var length = PythonOperators.Length(value, run);
        var (from, to) = by > 0
            ? (Clamp(Bound(start) ?? 0, 0, length), Clamp(Bound(stop) ?? length, 0, length))
            : (Clamp(Bound(start) ?? length, -1, length - 1), Bound(stop) is { } end ? Clamp(end, -1, length - 1) : -1);
        if (isText && by == 1 && !PythonText.HasSurrogates(text!))
            return Same(value, run.Text(text.AsSpan((int)from, (int)Math.Max(0, to - from))));
        var source = isText ? PythonText.Characters(text!, run) : ((SequenceValue)value).Items;
        var items = new List<object>();
        for (var i = from; by > 0 ? i < to : i > to; i += by)
            items.Add(source[i]);
        run.ChargeItems(items.Count);
        return isText ? Same(value, run.Text(string.Concat(items)))
            : value is TupleValue ? new TupleValue([.. items])
            : new ListValue([.. items]);

        // Where a negative bound counts from the end.
        long Clamp(long bound, long low, long high) => Math.Clamp(bound < 0 ? bound + length : bound, low, Math.Max(low, high));
    }

    /// <summary>A string of the kind that <paramref name="model"/> is.</summary>
    public static object Same(object model, string text) => model is Markup ? new Markup(text) : text;

    private static object? Element(object value, long index)
    {
        if (PythonText.TryGet(value, out var text))
        {
            var length = PythonText.Length(text);
            var at = index < 0 ? index + length : index;
            if (at < 0 || at >= length)
                return null;
            if (length == text.Length)
                return text[(int)at].ToString();
            var unit = 0;
            for (var n = 0; n < at; n++)
                unit += PythonText.WidthAt(text, unit);
            return text.Substring(unit, PythonText.WidthAt(text, unit));
        }
        if (value is not SequenceValue { Items: var items })
            return null;
        var position = index < 0 ? index + items.Length : index;
        return position >= 0 && position < items.Length ? items[position] : null;
    }

    private static object? Member(object value, string name) => value switch
    {
        NamespaceValue ns => ns.Members.GetValueOrDefault(name),
        LoopValue loop => loop.Member(name),
        _ => BoundMethods.Find(value, name),
    };

    private static Undefined Missing(object value, string name) => new($"'{PythonType.Owner(value)}' has no attribute '{name}'");

    private static long? Bound(object value) => value is None ? null
        : PythonNumber.TryInteger(value, out var bound) ? Math.Clamp(bound, int.MinValue, int.MaxValue)
        : value is Undefined undefined ? throw new TemplateError(undefined.Message)
        : throw new TemplateError("slice indices must be integers or None");
}
