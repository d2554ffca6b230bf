using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

/// <summary>What can stand left of an assignment.</summary>
internal abstract class Target(int offset)
{
    protected int Offset => offset;

    public abstract void Assign(object value, Rendering run, Scope scope);
}

internal sealed class NameTarget(string name, int offset) : Target(offset)
{
    public string Name => name;

    public override void Assign(object value, Rendering run, Scope scope) => scope.Set(name, value);
}

/// <summary><c>ns.member</c></summary>
internal sealed class NamespaceTarget(string name, string member, int offset) : Target(offset)
{
    public override void Assign(object value, Rendering run, Scope scope)
    {
        run.Offset = Offset;
        if (scope.Find(name) is not NamespaceValue ns)
            throw new TemplateError("cannot assign attribute on non-namespace object");
        ns.Members[member] = value;
    }
}

/// <summary><c>a, b</c></summary>
internal sealed class TupleTarget(Target[] targets, int offset) : Target(offset)
{
    public override void Assign(object value, Rendering run, Scope scope)
    {
        run.Offset = Offset;
        var items = PythonOperators.Items(value, run);
        if (items.Length != targets.Length)
            throw new TemplateError($"{(items.Length < targets.Length ? "not enough" : "too many")} values to unpack (expected {targets.Length}, got {items.Length})");
        for (var i = 0; i < targets.Length; i++)
            targets[i].Assign(items[i], run, scope);
    }
}
