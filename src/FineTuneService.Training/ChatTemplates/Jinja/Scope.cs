namespace FineTuneService.Training.ChatTemplates.Jinja;

/// <summary>Names and what they stand for. A loop's pass, a macro's call and a generation block have one of their own: what is set there ends there.</summary>
internal sealed class Scope(Scope? parent)
{
    private Dictionary<string, object>? _values;

    public Scope? Parent => parent;

    public IEnumerable<object> Values => _values?.Values.AsEnumerable() ?? [];

    public void Set(string name, object value) => (_values ??= [])[name] = value;

    public object? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._values is { } values && values.TryGetValue(name, out var value))
                return value;
        }
        return null;
    }
}
