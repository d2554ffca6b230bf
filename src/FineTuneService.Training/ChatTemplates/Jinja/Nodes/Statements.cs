using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

internal sealed class TextData(string text) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        run.Write(text);
        return Flow.Next;
    }
}

/// <summary><c>{{ value }}</c></summary>
internal sealed class Print(Expression value) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        var printed = value.Evaluate(run, scope);
        run.Offset = value.Offset;
        run.Write(PythonText.Str(printed, run));
        return Flow.Next;
    }
}

/// <summary>if, elif (an <see cref="If"/> in <paramref name="otherwise"/>), else. No scope of its own.</summary>
internal sealed class If(Expression condition, Statement[] then, Statement[] otherwise) : Statement
{
    public override Flow Execute(Rendering run, Scope scope) =>
        Execute(PythonOperators.IsTrue(condition.Evaluate(run, scope)) ? then : otherwise, run, scope);
}

internal sealed class Jump(Flow flow) : Statement
{
    public override Flow Execute(Rendering run, Scope scope) => flow;
}

/// <summary><c>{% set target = value %}</c></summary>
internal sealed class Set(Target target, Expression value) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        target.Assign(value.Evaluate(run, scope), run, scope);
        return Flow.Next;
    }
}

/// <summary><c>{% set target %}…{% endset %}</c></summary>
internal sealed class SetBlock(Target target, Filter[] filters, Statement[] body) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        object text = run.Capture(() => Execute(body, run, new Scope(scope)));
        target.Assign(filters.Aggregate(text, (value, filter) => filter.Apply(value, run, scope)), run, scope);
        return Flow.Next;
    }
}

/// <summary><c>{% filter … %}…{% endfilter %}</c></summary>
internal sealed class FilterBlock(Filter[] filters, Statement[] body) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        object text = run.Capture(() => Execute(body, run, new Scope(scope)));
        run.Write(PythonText.Str(filters.Aggregate(text, (value, filter) => filter.Apply(value, run, scope)), run));
        return Flow.Next;
    }
}

/// <summary><c>{% with a = 1 %}…{% endwith %}</c></summary>
internal sealed class With((Target Target, Expression Value)[] bindings, Statement[] body) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        var inner = new Scope(scope);
        foreach (var (target, value) in bindings)
            target.Assign(value.Evaluate(run, scope), run, inner);
        return Execute(body, run, inner);
    }
}

/// <summary><c>{% generation %}…{% endgeneration %}</c>, transformers' own: what it writes is what the model learns to write.</summary>
internal sealed class GenerationBlock(Statement[] body) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        var start = run.Output.Length;
        Execute(body, run, new Scope(scope));
        if (run.Captures == 0)
            run.Generations.Add(new(MessageAt(run, scope), start, run.Output.Length));
        else
            run.HasHiddenGeneration = true;
        return Flow.Next;
    }

    /// <summary>The index of the message that a loop around this block is at, or null.</summary>
    private static int? MessageAt(Rendering run, Scope scope)
    {
        for (var inner = scope; inner is not null; inner = inner.Parent)
        {
            foreach (var (_, value) in inner.Entries)
            {
                if (value is DictValue && Array.FindIndex(run.Messages.Items, message => ReferenceEquals(message, value)) is >= 0 and var index)
                    return index;
            }
        }
        return null;
    }
}
