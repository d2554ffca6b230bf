using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

/// <summary><c>{% for target in items if condition %}…{% else %}…{% endfor %}</c>. Every pass has a fresh scope.</summary>
internal sealed class For(Target target, Expression items, Expression? condition, Statement[] body, Statement[] otherwise, int offset) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        var iterated = items.Evaluate(run, scope);
        run.Offset = offset;
        var values = PythonOperators.Items(iterated, run);
        if (condition is not null)
            values = Array.FindAll(values, value => Admits(condition, value, run, scope));
        var loop = new LoopValue(values, Depth(scope));
        for (; loop.Index < values.Length; loop.Index++)
        {
            run.Step();
            var pass = new Scope(scope);
            pass.Set("loop", loop);
            target.Assign(values[loop.Index], run, pass);
            if (Execute(body, run, pass) == Flow.Break)
                break;
        }
        // A jump in the else branch belongs to the loop around this one.
        return values.Length == 0 ? Execute(otherwise, run, new Scope(scope)) : Flow.Next;
    }

    private bool Admits(Expression test, object value, Rendering run, Scope scope)
    {
        var pass = new Scope(scope);
        target.Assign(value, run, pass);
        return PythonOperators.IsTrue(test.Evaluate(run, pass));
    }

    private static int Depth(Scope scope) => scope.Find("loop") is LoopValue outer ? outer.Depth + 1 : 1;
}
