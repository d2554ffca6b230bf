using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

/// <summary>A macro's, or a call block's, parameters and body.</summary>
/// <param name="TakesRest">Whether it speaks of <c>varargs</c>: more positional arguments than parameters are welcome.</param>
/// <param name="TakesOptions">Whether it speaks of <c>kwargs</c>.</param>
internal sealed record MacroDefinition(string Name, (string Name, Expression? Default)[] Parameters, Statement[] Body, bool TakesRest, bool TakesOptions);

/// <summary><c>{% macro name(a, b=1) %}…{% endmacro %}</c></summary>
internal sealed class DefineMacro(MacroDefinition macro) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        scope.Set(macro.Name, new MacroValue(macro, scope));
        return Flow.Next;
    }
}

/// <summary><c>{% call(x) macro(…) %}…{% endcall %}</c>: the macro may call the block as <c>caller</c>.</summary>
internal sealed class CallBlock(MacroDefinition block, Expression callee, ArgumentList arguments, int offset) : Statement
{
    public override Flow Execute(Rendering run, Scope scope)
    {
        var target = callee.Evaluate(run, scope);
        var given = arguments.Evaluate(run, scope);
        run.Offset = offset;
        if (target is not Callable callable)
            throw new TemplateError($"'{PythonType.Name(target)}' object is not callable");
        var result = callable.Call(run, given with { Keywords = [.. given.Keywords, ("caller", new MacroValue(block, scope))] });
        run.Write(PythonText.Str(result, run));
        return Flow.Next;
    }
}

/// <summary>A macro with the scope that it was defined in.</summary>
internal sealed class MacroValue(MacroDefinition macro, Scope scope) : Callable(macro.Name)
{
    public override object Call(Rendering run, Arguments arguments)
    {
        var parameters = macro.Parameters;
        var local = new Scope(scope);
        var keywords = arguments.Keywords.ToDictionary(keyword => keyword.Name, keyword => keyword.Value);
        for (var i = 0; i < parameters.Length; i++)
        {
            var (name, fallback) = parameters[i];
            if (i < arguments.Positional.Length)
                local.Set(name, keywords.ContainsKey(name) ? throw new TemplateError($"macro '{Name}' got multiple values for argument '{name}'") : arguments.Positional[i]);
            else if (keywords.Remove(name, out var given))
                local.Set(name, given);
            else
                local.Set(name, fallback?.Evaluate(run, local) ?? new Undefined($"parameter '{name}' was not provided"));
        }
        if (keywords.Remove("caller", out var caller))
            local.Set("caller", caller);
        if (macro.TakesRest)
            local.Set("varargs", new TupleValue([.. arguments.Positional.Skip(parameters.Length)]));
        else if (arguments.Positional.Length > parameters.Length)
            throw new TemplateError($"macro '{Name}' takes no more than {parameters.Length} argument(s)");
        if (macro.TakesOptions)
            local.Set("kwargs", Options(keywords));
        else if (keywords.Count > 0)
            throw new TemplateError($"macro '{Name}' takes no keyword argument '{keywords.Keys.First()}'");
        return run.Nested(() => Statement.Execute(macro.Body, run, local));
    }

    private static DictValue Options(Dictionary<string, object> keywords)
    {
        var options = new DictValue(keywords.Count);
        foreach (var (name, value) in keywords)
            options[name] = value;
        return options;
    }
}
