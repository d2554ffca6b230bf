using System.Globalization;
using System.Numerics;
using FineTuneService.Training.ChatTemplates.Jinja.Nodes;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>Jinja2's expression grammar, by recursive descent: or, and, not, comparison, + -, ~, * / // %, **, unary, postfix, filters and tests.</summary>
internal sealed partial class ExpressionParser(TokenStream tokens)
{
    private static readonly HashSet<string> Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>The names read so far; a macro asks it whether its body speaks of varargs or kwargs.</summary>
    public HashSet<string> Names { get; set; } = [];

    /// <summary>Above 0 inside an if: what is unknown there may never be reached, and is refused only when it is.</summary>
    public int Conditions { get; set; }

    public Expression Parse(bool withConditional = true) => tokens.Nested<Expression>(withConditional ? ParseConditional : ParseOr);

    /// <summary>An expression, or several with commas between them, which make a tuple.</summary>
    public Expression ParseTuple(bool withConditional = true, bool inBrackets = false, string? endName = null)
    {
        var offset = tokens.Current.Offset;
        var items = new List<Expression>();
        var isTuple = false;
        while (!IsTupleEnd(endName))
        {
            items.Add(Parse(withConditional));
            if (!tokens.SkipOperator(","))
                break;
            isTuple = true;
        }
        if (!isTuple && items.Count == 1)
            return items[0];
        return isTuple || inBrackets ? new Display([.. items], isTuple: true, offset) : throw tokens.Unexpected("an expression");
    }

    private bool IsTupleEnd(string? endName) =>
        tokens.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || tokens.Current.IsOperator(")") || endName is not null && tokens.Current.IsName(endName);

    private Expression ParseConditional()
    {
        var value = ParseOr();
        while (tokens.Current.IsName("if"))
        {
            var offset = tokens.Take().Offset;
            var condition = ParseOr();
            Conditions++;
            var otherwise = tokens.SkipName("else") ? Parse() : null;
            Conditions--;
            value = new Conditional(condition, value, otherwise, offset);
        }
        return value;
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (tokens.Current.IsName("or"))
            left = new Or(left, OperandAfter(out var offset, ParseAnd), offset);
        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (tokens.Current.IsName("and"))
            left = new And(left, OperandAfter(out var offset, ParseNot), offset);
        return left;
    }

    private Expression ParseNot()
    {
        if (!tokens.Current.IsName("not"))
            return ParseComparison();
        var offset = tokens.Take().Offset;
        return new Not(tokens.Nested(ParseNot), offset);
    }

    private Expression ParseComparison()
    {
        var first = ParseSum();
        var offset = tokens.Current.Offset;
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (tokens.Current.Kind == TokenKind.Operator && Comparisons.Contains(tokens.Current.Text))
                rest.Add((tokens.Take().Text, ParseSum()));
            else if (tokens.SkipName("in"))
                rest.Add(("in", ParseSum()));
            else if (tokens.Current.IsName("not") && tokens.Following.IsName("in"))
            {
                tokens.Take();
                tokens.Take();
                rest.Add(("not in", ParseSum()));
            }
            else
                return rest.Count == 0 ? first : new Comparison(first, [.. rest], offset);
        }
    }

    private Expression ParseSum()
    {
        var left = ParseConcatenation();
        while (tokens.Current.IsOperator("+") || tokens.Current.IsOperator("-"))
        {
            var sign = tokens.Current.Text[0];
            left = new Arithmetic(sign, left, OperandAfter(out var offset, ParseConcatenation), offset);
        }
        return left;
    }

    private Expression ParseConcatenation()
    {
        var first = ParseProduct();
        if (!tokens.Current.IsOperator("~"))
            return first;
        var offset = tokens.Current.Offset;
        var parts = new List<Expression> { first };
        while (tokens.SkipOperator("~"))
            parts.Add(ParseProduct());
        return new Concatenation([.. parts], offset);
    }

    private Expression ParseProduct()
    {
        var left = ParsePower();
        while (tokens.Current is { Kind: TokenKind.Operator, Text: "*" or "/" or "//" or "%" })
        {
            var operation = tokens.Current.Text == "//" ? 'f' : tokens.Current.Text[0];
            left = new Arithmetic(operation, left, OperandAfter(out var offset, ParsePower), offset);
        }
        return left;
    }

    private Expression ParsePower()
    {
        var left = ParseUnary();
        while (tokens.Current.IsOperator("**"))
            left = new Arithmetic('^', left, OperandAfter(out var offset, () => ParseUnary()), offset);
        return left;
    }

    private Expression ParseUnary(bool withFilters = true)
    {
        Expression node;
        if (tokens.Current.IsOperator("-") || tokens.Current.IsOperator("+"))
        {
            var sign = tokens.Take();
            node = new Negative(tokens.Nested(() => ParseUnary(withFilters: false)), isPlus: sign.Text == "+", sign.Offset);
        }
        else
        {
            node = ParsePrimary();
        }
        node = ParsePostfix(node);
        return withFilters ? ParseFiltersAndTests(node) : node;
    }

    private Expression ParsePrimary()
    {
        var token = tokens.Take();
        switch (token.Kind)
        {
            case TokenKind.Name:
                Names.Add(token.Text);
                return token.Text switch
                {
                    "true" or "True" => new Constant(Boxed.True, token.Offset),
                    "false" or "False" => new Constant(Boxed.False, token.Offset),
                    "none" or "None" => new Constant(None.Value, token.Offset),
                    _ => new Name(token.Text, token.Offset),
                };
            case TokenKind.String:
                var text = token.Text;
                while (tokens.Current.Kind == TokenKind.String)
                    text += tokens.Take().Text;
                return new Constant(text, token.Offset);
            case TokenKind.Integer:
                return new Constant(long.TryParse(token.Text, CultureInfo.InvariantCulture, out var integer) ? Boxed.Of(integer)
                    : token.Text.Length < 1000 ? BigInteger.Parse(token.Text, CultureInfo.InvariantCulture)
                    : throw TemplateError.Syntax("The number is too long", token.Offset), token.Offset);
            case TokenKind.Float:
                return new Constant(double.Parse(token.Text, CultureInfo.InvariantCulture), token.Offset);
            case TokenKind.Operator when token.Text == "(":
                var inner = ParseTuple(inBrackets: true);
                tokens.ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return new Display([.. ParseItems("]", () => Parse())], isTuple: false, token.Offset);
            case TokenKind.Operator when token.Text == "{":
                return new DictDisplay([.. ParseItems("}", ParseEntry)], token.Offset);
            default:
                throw TemplateError.Syntax($"unexpected '{token}'", token.Offset);
        }
    }

    private (Expression, Expression) ParseEntry()
    {
        var key = Parse();
        tokens.ExpectOperator(":");
        return (key, Parse());
    }

    private List<T> ParseItems<T>(string end, Func<T> parse)
    {
        var items = new List<T>();
        while (!tokens.SkipOperator(end))
        {
            if (items.Count > 0)
                tokens.ExpectOperator(",");
            if (tokens.SkipOperator(end))
                break;
            items.Add(parse());
        }
        return items;
    }

    private Expression OperandAfter(out int offset, Func<Expression> parse)
    {
        offset = tokens.Take().Offset;
        return parse();
    }
}
