namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

/// <param name="offset">Where it stands in the source.</param>
internal abstract class Expression(int offset)
{
    public int Offset => offset;

    public object Evaluate(Rendering run, Scope scope)
    {
        run.Step();
        return Compute(run, scope);
    }

    /// <summary>Sets <see cref="Rendering.Offset"/> before anything that can fail.</summary>
    protected abstract object Compute(Rendering run, Scope scope);
}

internal abstract class Statement
{
    public abstract Flow Execute(Rendering run, Scope scope);

    public static Flow Execute(Statement[] body, Rendering run, Scope scope)
    {
        foreach (var statement in body)
        {
            run.Step();
            if (statement.Execute(run, scope) is not Flow.Next and var flow)
                return flow;
        }
        return Flow.Next;
    }
}

/// <summary>What follows a statement: the next one, or the end of the innermost loop's pass or of the loop.</summary>
internal enum Flow
{
    Next,
    Continue,
    Break,
}
