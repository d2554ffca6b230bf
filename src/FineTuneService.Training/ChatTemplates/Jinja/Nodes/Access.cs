using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

internal sealed class Attribute(Expression owner, string name, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var value = owner.Evaluate(run, scope);
        run.Offset = Offset;
        return PythonAccess.Attribute(value, name);
    }
}

internal sealed class Item(Expression owner, Expression key, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var (value, wanted) = (owner.Evaluate(run, scope), key.Evaluate(run, scope));
        run.Offset = Offset;
        return PythonAccess.Item(value, wanted, run);
    }
}

internal sealed class Slice(Expression owner, Expression? start, Expression? stop, Expression? step, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var value = owner.Evaluate(run, scope);
        var (from, to, by) = (Bound(start), Bound(stop), Bound(step));
        run.Offset = Offset;
        return PythonAccess.Slice(value, from, to, by, run);

        object Bound(Expression? bound) => bound?.Evaluate(run, scope) ?? None.Value;
    }
}
