namespace FineTuneService.Training.ChatTemplates.Jinja;

/// <summary>Names and what they stand for. A loop's pass, a macro's call and a generation block have one of their own: what is set there ends there.</summary>
internal sealed class Scope(Scope? parent)
{
    // Few names and many scopes: a list is faster than a table.
    private (string Name, object Value)[] _entries = [];
    private int _count;

    public Scope? Parent => parent;

    public ReadOnlySpan<(string Name, object Value)> Entries => _entries.AsSpan(0, _count);

    public void Set(string name, object value)
    {
        var at = IndexOf(name);
        if (at < 0)
        {
            if (_count == _entries.Length)
                Array.Resize(ref _entries, Math.Max(4, 2 * _count));
            at = _count++;
        }
        _entries[at] = (name, value);
    }

    public object? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope.IndexOf(name) is >= 0 and var at)
                return scope._entries[at].Value;
        }
        return null;
    }

    private int IndexOf(string name)
    {
        for (var i = 0; i < _count; i++)
        {
            if (_entries[i].Name == name)
                return i;
        }
        return -1;
    }
}
