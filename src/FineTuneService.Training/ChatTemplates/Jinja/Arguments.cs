namespace FineTuneService.Training.ChatTemplates.Jinja;

/// <summary>What a call is given.</summary>
internal sealed record Arguments(object[] Positional, (string Name, object Value)[] Keywords)
{
    public static readonly Arguments None = new([], []);

    public object? Keyword(string name) => Keywords.FirstOrDefault(keyword => keyword.Name == name).Value;

    /// <summary>In the order of <paramref name="parameters"/>, null for what is not given.</summary>
    /// <exception cref="TemplateError">Too many, too few, unknown or given twice.</exception>
    public object?[] Bind(string function, string[] parameters, int required)
    {
        if (Positional.Length > parameters.Length)
            throw new TemplateError($"{function}() takes at most {parameters.Length} argument(s), {Positional.Length} given");
        var bound = new object?[parameters.Length];
        Positional.CopyTo(bound, 0);
        foreach (var (name, value) in Keywords)
        {
            var at = Array.IndexOf(parameters, name);
            if (at < 0)
                throw new TemplateError($"{function}() got an unexpected keyword argument '{name}'");
            if (bound[at] is not null)
                throw new TemplateError($"{function}() got multiple values for argument '{name}'");
            bound[at] = value;
        }
        var missing = Array.FindIndex(bound, 0, required, value => value is null);
        return missing < 0 ? bound : throw new TemplateError($"{function}() missing required argument '{parameters[missing]}'");
    }
}

/// <param name="Parameters">Names in order; null: the arguments come as they are.</param>
internal sealed record Routine(string Name, string[]? Parameters, int Required, RoutineBody Body)
{
    /// <param name="run">The rendering.</param>
    /// <param name="subject">What is filtered, tested, or owns the method.</param>
    /// <param name="arguments">Not yet bound.</param>
    public object Invoke(Rendering run, object subject, Arguments arguments)
    {
        run.Charged(subject);
        foreach (var argument in arguments.Positional)
            run.Charged(argument);
        return Parameters is null ? Body(run, subject, arguments.Positional, arguments) : Body(run, subject, arguments.Bind(Name, Parameters, Required), arguments);
    }
}

/// <summary>The code of a filter, test, method or function; <paramref name="given"/> holds bound arguments, null where none was given.</summary>
internal delegate object RoutineBody(Rendering run, object subject, object?[] given, Arguments arguments);
