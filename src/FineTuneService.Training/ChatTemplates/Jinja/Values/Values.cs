using System.Numerics;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

// What a template can hold: None, bool, long, BigInteger (only as it came in), double, string, and the types below. Nothing else of .NET gets in,
// and, as in Jinja2's ImmutableSandboxedEnvironment, nothing but a namespace ever changes.

internal sealed class None
{
    public static readonly None Value = new();

    private None() { }
}

/// <summary>A name, member or element that is not there: prints as nothing, is false and empty, and faults when anything is asked of it.</summary>
internal sealed class Undefined(string message)
{
    public string Message => message;
}

/// <summary>A string that <c>|safe</c> or <c>|escape</c> made: what is added to it becomes HTML-escaped.</summary>
internal sealed record Markup(string Text);

internal abstract class SequenceValue(object[] items)
{
    public object[] Items => items;
}

internal sealed class ListValue(object[] items) : SequenceValue(items)
{
    public static readonly ListValue Empty = new([]);
}

internal sealed class TupleValue(params object[] items) : SequenceValue(items);

/// <summary>A dict: keeps the order of its keys.</summary>
internal sealed class DictValue(int capacity = 0) : OrderedDictionary<object, object>(capacity, PythonEquality.Instance);

/// <summary><c>namespace()</c>: the one thing a template may write to.</summary>
internal sealed class NamespaceValue
{
    public Dictionary<string, object> Members { get; } = [];
}

/// <summary>Anything that can be called: a function, a method bound to its object, a macro.</summary>
internal abstract class Callable(string name)
{
    public string Name => name;

    public abstract object Call(Rendering run, Arguments arguments);
}

internal static class Boxed
{
    private static readonly object[] SmallIntegers = [.. Enumerable.Range(-16, 1040).Select(i => (object)(long)i)];

    public static object True { get; } = true;

    public static object False { get; } = false;

    public static object Of(bool value) => value ? True : False;

    public static object Of(long value) => value is >= -16 and < 1024 ? SmallIntegers[value + 16] : value;
}

/// <summary>Words for messages.</summary>
internal static class PythonType
{
    public static string Name(object value) => value switch
    {
        None => "NoneType",
        Undefined => "Undefined",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        Markup => "Markup",
        ListValue => "list",
        TupleValue => "tuple",
        DictValue => "dict",
        NamespaceValue => "Namespace",
        LoopValue => "LoopContext",
        _ => "function",
    };

    /// <summary>As Jinja2's messages about undefined things name the owner.</summary>
    public static string Owner(object value) => value is None ? "None" : Name(value) + " object";
}
