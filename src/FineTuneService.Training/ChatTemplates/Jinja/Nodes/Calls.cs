using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

/// <summary>What stands between a call's brackets, <c>*list</c> and <c>**dict</c> included.</summary>
internal sealed record ArgumentList(Expression[] Positional, (string Name, Expression Value)[] Keywords, Expression? Rest, Expression? Options)
{
    public static readonly ArgumentList Empty = new([], [], null, null);

    public Arguments Evaluate(Rendering run, Scope scope)
    {
        if (ReferenceEquals(this, Empty))
            return Arguments.None;
        var positional = Array.ConvertAll(Positional, argument => argument.Evaluate(run, scope));
        var keywords = Array.ConvertAll(Keywords, keyword => (keyword.Name, Value: keyword.Value.Evaluate(run, scope)));
        if (Rest?.Evaluate(run, scope) is { } rest)
        {
            var items = PythonOperators.Items(rest, run);
            run.ChargeItems(items.Length);
            positional = [.. positional, .. items];
        }
        if (Options?.Evaluate(run, scope) is { } options)
        {
            if (options is not DictValue dict)
                throw new TemplateError($"argument after ** must be a mapping, not {PythonType.Name(options)}");
            run.ChargeItems(dict.Count);
            if (keywords.Any(keyword => dict.ContainsKey(keyword.Name)))
                throw new TemplateError("got multiple values for a keyword argument");
            keywords = [.. keywords, .. dict.Select(entry => (entry.Key as string ?? throw new TemplateError("keywords must be strings"), entry.Value))];
        }
        return new(positional, keywords);
    }
}

internal sealed class Call(Expression callee, ArgumentList arguments, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var target = callee.Evaluate(run, scope);
        var given = arguments.Evaluate(run, scope);
        run.Offset = Offset;
        var result = target switch
        {
            Callable callable => callable.Call(run, given),
            Undefined undefined => throw new TemplateError(undefined.Message),
            _ => throw new TemplateError($"'{PythonType.Name(target)}' object is not callable"),
        };
        run.Offset = Offset;
        return result;
    }
}

/// <param name="subject">Null in <c>{% filter %}</c> and <c>{% set x | … %}</c>, where a block's text takes its place.</param>
internal sealed class Filter(Expression? subject, string name, Routine? routine, ArgumentList arguments, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope) => Apply(subject!.Evaluate(run, scope), run, scope);

    public object Apply(object value, Rendering run, Scope scope)
    {
        if (subject is Filter { IsOpen: true } inner)
            value = inner.Apply(value, run, scope);
        var given = arguments.Evaluate(run, scope);
        run.Offset = Offset;
        return (routine ?? throw new TemplateError($"No filter named '{name}'")).Invoke(run, value, given);
    }

    /// <summary>Whether its subject comes from outside.</summary>
    public bool IsOpen => subject is null or Filter { IsOpen: true };
}

internal sealed class Test(Expression subject, string name, Routine? routine, ArgumentList arguments, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var value = subject.Evaluate(run, scope);
        var given = arguments.Evaluate(run, scope);
        run.Offset = Offset;
        return (routine ?? throw new TemplateError($"No test named '{name}'")).Invoke(run, value, given);
    }
}
