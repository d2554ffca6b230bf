using FineTuneService.Training.ChatTemplates.Jinja.Library;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

/// <summary>What <c>loop</c> is in a loop.</summary>
internal sealed class LoopValue(object[] items, int depth)
{
    private object[]? _changed;

    public int Index { get; set; }

    public int Depth => depth;

    public object? Member(string name) => name switch
    {
        "index0" => Boxed.Of(Index),
        "index" => Boxed.Of(Index + 1),
        "first" => Boxed.Of(Index == 0),
        "last" => Boxed.Of(Index == items.Length - 1),
        "length" => Boxed.Of(items.Length),
        "revindex" => Boxed.Of(items.Length - Index),
        "revindex0" => Boxed.Of(items.Length - Index - 1),
        "depth" => Boxed.Of(depth),
        "depth0" => Boxed.Of(depth - 1),
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
        "nextitem" => Index + 1 < items.Length ? items[Index + 1] : new Undefined("there is no next item"),
        "cycle" => new Function(name, (_, arguments) => arguments.Positional is { Length: > 0 } values ? values[Index % values.Length] : throw new TemplateError("no items for cycling given")),
        "changed" => new Function(name, (run, arguments) => Boxed.Of(Changed(arguments.Positional, run))),
        _ => null,
    };

    private bool Changed(object[] values, Rendering run)
    {
        if (_changed is not null && PythonEquality.AreEqual(new TupleValue(_changed), new TupleValue(values), run))
            return false;
        _changed = values;
        return true;
    }
}
