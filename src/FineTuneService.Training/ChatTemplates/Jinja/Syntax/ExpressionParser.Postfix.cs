using System.Globalization;
using FineTuneService.Training.ChatTemplates.Jinja.Library;
using FineTuneService.Training.ChatTemplates.Jinja.Nodes;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>What may follow a value: members, subscripts, calls, filters and tests.</summary>
internal sealed partial class ExpressionParser
{
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
        if (start is not null && tokens.SkipOperator(","))
            return new Item(node, new Display([start, .. ParseItems("]", () => Parse())], isTuple: true, offset), offset);
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
            if (tokens.SkipOperator("|"))
                node = ParseFilter(node);
            else if (tokens.SkipName("is"))
                node = ParseTest(node, offset);
            else if (tokens.Current.IsOperator("("))
                node = new Call(node, ParseArguments(), offset);
            else
                return node;
        }
    }

    /// <summary>The filters that a block's text goes through, the first without its bar.</summary>
    public Filter[] ParseBlockFilters()
    {
        var filters = new List<Filter>();
        do
        {
            filters.Add(ParseFilter(null));
        }
        while (tokens.SkipOperator("|"));
        return [.. filters];
    }

    /// <param name="subject">Null: a block's text.</param>
    private Filter ParseFilter(Expression? subject)
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
}
