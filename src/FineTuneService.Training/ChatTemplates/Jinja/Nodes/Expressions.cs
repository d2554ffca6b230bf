using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Nodes;

internal sealed class Constant(object value, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope) => value;
}

internal sealed class Name(string name, int offset) : Expression(offset)
{
    public string Identifier => name;

    protected override object Compute(Rendering run, Scope scope) => scope.Find(name) ?? new Undefined($"'{name}' is undefined");
}

/// <summary>A list's or, with <paramref name="isTuple"/>, a tuple's display.</summary>
internal sealed class Display(Expression[] items, bool isTuple, int offset) : Expression(offset)
{
    public Expression[] Items => items;

    public bool IsTuple => isTuple;

    protected override object Compute(Rendering run, Scope scope)
    {
        run.ChargeItems(items.Length);
        var values = new object[items.Length];
        for (var i = 0; i < items.Length; i++)
            values[i] = items[i].Evaluate(run, scope);
        return isTuple ? new TupleValue(values) : new ListValue(values);
    }
}

internal sealed class DictDisplay((Expression Key, Expression Value)[] entries, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        run.ChargeItems(entries.Length);
        var dict = new DictValue(entries.Length);
        foreach (var (key, value) in entries)
        {
            var evaluated = key.Evaluate(run, scope);
            run.Offset = Offset;
            if (!PythonEquality.IsHashable(evaluated))
                throw new TemplateError($"unhashable type: '{PythonType.Name(evaluated)}'");
            dict[run.Charged(evaluated)] = value.Evaluate(run, scope);
        }
        return dict;
    }
}

internal sealed class And(Expression left, Expression right, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope) =>
        left.Evaluate(run, scope) is var value && PythonOperators.IsTrue(value) ? right.Evaluate(run, scope) : value;
}

internal sealed class Or(Expression left, Expression right, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope) =>
        left.Evaluate(run, scope) is var value && PythonOperators.IsTrue(value) ? value : right.Evaluate(run, scope);
}

internal sealed class Not(Expression operand, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope) => Boxed.Of(!PythonOperators.IsTrue(operand.Evaluate(run, scope)));
}

/// <summary><c>a if condition else b</c>; without else, undefined.</summary>
internal sealed class Conditional(Expression condition, Expression then, Expression? otherwise, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope) =>
        PythonOperators.IsTrue(condition.Evaluate(run, scope)) ? then.Evaluate(run, scope)
        : otherwise?.Evaluate(run, scope) ?? new Undefined("the inline if-expression evaluated to false and no else section was defined.");
}

internal sealed class Negative(Expression operand, bool isPlus, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var value = operand.Evaluate(run, scope);
        run.Offset = Offset;
        var negated = PythonOperators.Negate(value);
        return isPlus ? PythonOperators.Negate(negated) : negated;
    }
}

/// <param name="operation">+ - * / % ^ (power) or f (floor division).</param>
internal sealed class Arithmetic(char operation, Expression left, Expression right, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var (a, b) = (left.Evaluate(run, scope), right.Evaluate(run, scope));
        run.Offset = Offset;
        return operation == '+' ? PythonOperators.Add(a, b, run) : PythonOperators.Calculate(operation, a, b, run);
    }
}

/// <summary><c>a ~ b ~ c</c>: all as strings, end to end.</summary>
internal sealed class Concatenation(Expression[] parts, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var texts = new string[parts.Length];
        for (var i = 0; i < parts.Length; i++)
            texts[i] = PythonText.Str(parts[i].Evaluate(run, scope), run);
        run.Offset = Offset;
        foreach (var text in texts)
            run.ChargeText(text.Length);
        return string.Concat(texts);
    }
}

/// <summary><c>a &lt; b &lt;= c</c>: every operand once, until one comparison fails.</summary>
internal sealed class Comparison(Expression first, (string Operator, Expression Operand)[] rest, int offset) : Expression(offset)
{
    protected override object Compute(Rendering run, Scope scope)
    {
        var left = first.Evaluate(run, scope);
        foreach (var (sign, operand) in rest)
        {
            var right = operand.Evaluate(run, scope);
            run.Offset = Offset;
            if (!Holds(sign, left, right, run))
                return Boxed.False;
            left = right;
        }
        return Boxed.True;
    }

    /// <param name="sign">As Python spells it.</param>
    /// <param name="left">Any value.</param>
    /// <param name="right">Any value.</param>
    /// <param name="run">Pays.</param>
    public static bool Holds(string sign, object left, object right, Rendering run) => sign switch
    {
        "==" => PythonEquality.AreEqual(left, right, run),
        "!=" => !PythonEquality.AreEqual(left, right, run),
        "in" => PythonOperators.Contains(right, left, run),
        "not in" => !PythonOperators.Contains(right, left, run),
        "<" => PythonOperators.Order(left, right, run, sign) < 0,
        "<=" => PythonOperators.Order(left, right, run, sign) <= 0,
        ">" => PythonOperators.Order(left, right, run, sign) > 0,
        _ => PythonOperators.Order(left, right, run, sign) >= 0,
    };
}
