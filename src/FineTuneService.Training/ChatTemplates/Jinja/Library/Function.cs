using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

internal sealed class Function(string name, Func<Rendering, Arguments, object> body) : Callable(name)
{
    public override object Call(Rendering run, Arguments arguments) => body(run, arguments);
}

/// <summary>A filter's, test's or method's name with its code.</summary>
internal sealed class RoutineTable : Dictionary<string, Routine>
{
    /// <param name="name">As templates write it.</param>
    /// <param name="parameters">Names, those without a default first.</param>
    /// <param name="required">How many have no default.</param>
    /// <param name="body">The code.</param>
    public void Add(string name, string parameters, int required, Func<Rendering, object, object?[], object> body) =>
        Add(name, new Routine(name, parameters.Split(' ', StringSplitOptions.RemoveEmptyEntries), required, (run, subject, given, _) => body(run, subject, given)));

    /// <summary>Without parameters.</summary>
    public void Add(string name, Func<Rendering, object, object> body) => Add(name, "", 0, (run, subject, _) => body(run, subject));

    /// <summary>With arguments as they come.</summary>
    public void Add(string name, Func<Rendering, object, Arguments, object> body) =>
        Add(name, new Routine(name, null, 0, (run, subject, _, arguments) => body(run, subject, arguments)));
}

/// <summary>Reading an argument, with its default.</summary>
internal static class Given
{
    public static string Text(this object?[] given, int index, Rendering run, string otherwise = "") => given[index] is { } value and not None ? PythonText.Str(value, run) : otherwise;

    public static bool Flag(this object?[] given, int index, bool otherwise = false) => given[index] is { } value ? PythonOperators.IsTrue(value) : otherwise;

    public static int Integer(this object?[] given, int index, int otherwise) => given[index] switch
    {
        null => otherwise,
        var value when PythonNumber.TryInteger(value, out var integer) => (int)Math.Clamp(integer, int.MinValue, int.MaxValue),
        Undefined undefined => throw new TemplateError(undefined.Message),
        var value => throw new TemplateError($"'{PythonType.Name(value)}' object cannot be interpreted as an integer"),
    };
}
