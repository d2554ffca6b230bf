using System.Globalization;
using System.Numerics;
using FineTuneService.Training.ChatTemplates.Jinja.Library;
using FineTuneService.Training.ChatTemplates.Jinja.Nodes;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>Jinja2's expression grammar, by recursive descent: or, and, not, comparison, + -, ~, * / // %, **, unary, postfix, filters and tests.</summary>
internal sealed class ExpressionParser(TokenStream tokens)
{
    private static readonly HashSet<string> Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>The names read so far; a macro asks it whether its body speaks of varargs or kwargs.</summary>
    public HashSet<string> Names { get; set; } = [];

    /// <summary>Above 0 inside an if: what is unknown there may never be reached, and is refused only when it is.</summary>
    public int Conditions { get; set; }

    public Expression Parse(bool withConditional = true)
    {
        tokens.Descend();
        return withConditional ? ParseConditional() : ParseOr();
    }

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
        tokens.Descend();
        return new Not(OperandAfter(out var offset, ParseNot), offset);
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
        tokens.Descend();
        Expression node;
        if (tokens.Current.IsOperator("-") || tokens.Current.IsOperator("+"))
        {
            var isPlus = tokens.Current.Text == "+";
            node = new Negative(OperandAfter(out var offset, () => ParseUnary(withFilters: false)), isPlus, offset);
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

    private Expression ParsePostfix(Expression node)
    {
        while (true)
        {
            var offset = tokens.Current.Offset;
            if (tokens.SkipOperator("."))
                node = ParseMember(node, offset);
            else if (tokens.SkipOperator("["))
                node = ParseSubscript(node, offset);
            else if (tokens.Current.IsOperator("("))
                node = new Call(node, ParseArguments(), offset);
            else
                return node;
        }
    }

    private Expression ParseMember(Expression node, int offset)
    {
        var member = tokens.Take();
        return member.Kind switch
        {
            TokenKind.Name => new Nodes.Attribute(node, member.Text, offset),
            TokenKind.Integer when long.TryParse(member.Text, CultureInfo.InvariantCulture, out var index) => new Item(node, new Constant(Boxed.Of(index), member.Offset), offset),
            _ => throw TemplateError.Syntax("expected name or number", member.Offset),
        };
    }

    private Expression ParseSubscript(Expression node, int offset)
    {
        var start = tokens.Current.IsOperator(":") ? null : Parse();
        if (tokens.SkipOperator("]"))
            return new Item(node, start ?? throw tokens.Unexpected("an expression"), offset);
        if (start is not null && tokens.Current.IsOperator(","))
            throw TemplateError.Syntax("A subscript has one key or one slice", tokens.Current.Offset);
        tokens.ExpectOperator(":");
        var stop = tokens.Current.IsOperator(":") || tokens.Current.IsOperator("]") ? null : Parse();
        var step = tokens.SkipOperator(":") && !tokens.Current.IsOperator("]") ? Parse() : null;
        tokens.ExpectOperator("]");
        return new Slice(node, start, stop, step, offset);
    }

    private Expression ParseFiltersAndTests(Expression node)
    {
        while (true)
        {
            var offset = tokens.Current.Offset;
            if (tokens.Current.IsOperator("|"))
                node = ParseFilter(node);
            else if (tokens.SkipName("is"))
                node = ParseTest(node, offset);
            else if (tokens.Current.IsOperator("("))
                node = new Call(node, ParseArguments(), offset);
            else
                return node;
        }
    }

    /// <param name="subject">Null: a block's text.</param>
    public Filter ParseFilter(Expression? subject)
    {
        tokens.ExpectOperator("|");
        return ParseFilterName(subject);
    }

    public Filter ParseFilterName(Expression? subject)
    {
        var name = tokens.Expect(TokenKind.Name);
        var routine = Known(Filters.All, name, "filter");
        return new Filter(subject, name.Text, routine, tokens.Current.IsOperator("(") ? ParseArguments() : ArgumentList.Empty, name.Offset);
    }

    private Expression ParseTest(Expression subject, int offset)
    {
        var isNegated = tokens.SkipName("not");
        var name = tokens.Expect(TokenKind.Name);
        var routine = Known(Tests.All, name, "test");
        var arguments = tokens.Current.IsOperator("(") ? ParseArguments()
            : TakesOperand() ? new ArgumentList([ParsePostfix(ParsePrimary())], [], null, null)
            : ArgumentList.Empty;
        var test = new Test(subject, name.Text, routine, arguments, offset);
        return isNegated ? new Not(test, offset) : test;
    }

    // x is divisibleby 3
    private bool TakesOperand() => tokens.Current switch
    {
        { Kind: TokenKind.Name, Text: "is" } => throw TemplateError.Syntax("You cannot chain multiple tests with is", tokens.Current.Offset),
        { Kind: TokenKind.Name, Text: "else" or "or" or "and" } => false,
        { Kind: TokenKind.Name or TokenKind.String or TokenKind.Integer or TokenKind.Float } => true,
        { Kind: TokenKind.Operator, Text: "[" or "{" } => true,
        _ => false,
    };

    private Routine? Known(IReadOnlyDictionary<string, Routine> routines, Token name, string kind) =>
        routines.GetValueOrDefault(name.Text) ?? (Conditions > 0 ? null : throw TemplateError.Syntax($"No {kind} named '{name.Text}'", name.Offset));

    public ArgumentList ParseArguments()
    {
        tokens.ExpectOperator("(");
        var positional = new List<Expression>();
        var keywords = new List<(string Name, Expression)>();
        Expression? rest = null, options = null;
        while (!tokens.SkipOperator(")"))
        {
            if (positional.Count + keywords.Count > 0 || rest is not null || options is not null)
                tokens.ExpectOperator(",");
            if (tokens.SkipOperator(")"))
                break;
            var token = tokens.Current;
            var isKeyword = token.Kind == TokenKind.Name && tokens.Following.IsOperator("=");
            if (options is not null || rest is not null && !isKeyword && !token.IsOperator("**"))
                throw Invalid(token);
            if (tokens.SkipOperator("*"))
                rest = Parse();
            else if (tokens.SkipOperator("**"))
                options = Parse();
            else if (isKeyword)
            {
                tokens.Take();
                tokens.Take();
                keywords.Add(keywords.Any(keyword => keyword.Name == token.Text) ? throw Invalid(token) : (token.Text, Parse()));
            }
            else
                positional.Add(keywords.Count == 0 ? Parse() : throw Invalid(token));
        }
        return new([.. positional], [.. keywords], rest, options);
    }

    private static TemplateError Invalid(Token token) => TemplateError.Syntax("invalid syntax for function call expression", token.Offset);

    private Expression OperandAfter(out int offset, Func<Expression> parse)
    {
        offset = tokens.Take().Offset;
        return parse();
    }
}
