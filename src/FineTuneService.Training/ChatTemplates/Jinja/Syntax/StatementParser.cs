using FineTuneService.Training.ChatTemplates.Jinja.Nodes;

namespace FineTuneService.Training.ChatTemplates.Jinja.Syntax;

/// <summary>A template's statements: those of Jinja2 that need no second template, transformers' <c>generation</c>, and <c>break</c> and <c>continue</c>.</summary>
internal sealed class StatementParser
{
    private readonly TokenStream _tokens;
    private readonly ExpressionParser _expressions;
    private int _loops;

    private StatementParser(TokenStream tokens)
    {
        _tokens = tokens;
        _expressions = new(tokens);
    }

    public bool MarksGenerations { get; private set; }

    /// <param name="source">Normalised.</param>
    /// <param name="marksGenerations">Whether a generation block occurs.</param>
    /// <exception cref="TemplateError">With the place.</exception>
    public static Statement[] Parse(string source, out bool marksGenerations)
    {
        var parser = new StatementParser(new(Lexer.Tokenize(source)));
        var body = parser.ParseBody();
        marksGenerations = parser.MarksGenerations;
        return body;
    }

    /// <summary>Up to, and not including, the first of the tags in <paramref name="ends"/>; without any, up to the end.</summary>
    private Statement[] ParseBody(params string[] ends)
    {
        var body = new List<Statement>();
        while (true)
        {
            var token = _tokens.Take();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    body.Add(new TextData(token.Text));
                    break;
                case TokenKind.VariableBegin:
                    body.Add(new Print(_expressions.ParseTuple()));
                    _tokens.Expect(TokenKind.VariableEnd);
                    break;
                case TokenKind.BlockBegin when _tokens.Current.Kind == TokenKind.Name && ends.Contains(_tokens.Current.Text):
                    return [.. body];
                case TokenKind.BlockBegin:
                    body.Add(_tokens.Nested(() => ParseStatement(_tokens.Expect(TokenKind.Name), ends)));
                    _tokens.Expect(TokenKind.BlockEnd);
                    break;
                default:
                    return ends.Length == 0 ? [.. body]
                        : throw TemplateError.Syntax($"Unexpected end of template. Looking for '{string.Join("' or '", ends)}'", token.Offset);
            }
        }
    }

    private Statement ParseStatement(Token tag, string[] ends) => tag.Text switch
    {
        "set" => ParseSet(),
        "if" => ParseIf(),
        "for" => ParseFor(tag),
        "macro" => ParseMacro(),
        "call" => ParseCall(tag),
        "filter" => new FilterBlock(_expressions.ParseBlockFilters(), ParseBlock("endfilter")),
        "with" => ParseWith(),
        "generation" => ParseGeneration(),
        "break" or "continue" when _loops == 0 => throw TemplateError.Syntax($"'{tag.Text}' outside loop", tag.Offset),
        "break" => new Jump(Flow.Break),
        "continue" => new Jump(Flow.Continue),
        "include" or "import" or "from" or "extends" or "block" or "autoescape" => throw TemplateError.Syntax($"'{tag.Text}' has no place in a chat template", tag.Offset),
        _ => throw TemplateError.Syntax($"Encountered unknown tag '{tag.Text}'.{(ends.Length == 0 ? "" : $" Looking for '{string.Join("' or '", ends)}'")}", tag.Offset),
    };

    private Statement ParseSet()
    {
        var target = ParseTarget(withNamespace: true);
        if (_tokens.SkipOperator("="))
            return new Set(target, _expressions.ParseTuple());
        return new SetBlock(target, _tokens.SkipOperator("|") ? _expressions.ParseBlockFilters() : [], ParseBlock("endset"));
    }

    private If ParseIf()
    {
        var condition = _expressions.ParseTuple(withConditional: false);
        _expressions.Conditions++;
        var then = ParseInner("elif", "else", "endif");
        Statement[] otherwise = _tokens.Take().Text switch
        {
            "elif" => [_tokens.Nested(ParseIf)],
            "else" => ParseBlock("endif"),
            _ => [],
        };
        _expressions.Conditions--;
        return new If(condition, then, otherwise);
    }

    private For ParseFor(Token tag)
    {
        var target = ParseTarget(withNamespace: false);
        _tokens.ExpectName("in");
        var items = _expressions.ParseTuple(withConditional: false, endName: "recursive");
        var condition = _tokens.SkipName("if") ? _expressions.Parse() : null;
        if (_tokens.Current.IsName("recursive"))
            throw TemplateError.Syntax("A recursive loop is not supported; a macro can call itself", _tokens.Current.Offset);
        _loops++;
        var body = ParseInner("endfor", "else");
        _loops--;
        return new For(target, items, condition, body, _tokens.Take().Text == "else" ? ParseBlock("endfor") : [], tag.Offset);
    }

    private DefineMacro ParseMacro()
    {
        var name = _tokens.Expect(TokenKind.Name).Text;
        return new(ParseDefinition(name, ParseParameters(), "endmacro"));
    }

    private CallBlock ParseCall(Token tag)
    {
        var parameters = _tokens.Current.IsOperator("(") ? ParseParameters() : [];
        var callee = new Name(_tokens.Expect(TokenKind.Name) is var name ? name.Text : "", name.Offset);
        var arguments = _expressions.ParseArguments();
        return new(ParseDefinition("caller", parameters, "endcall"), callee, arguments, tag.Offset);
    }

    private (string, Expression?)[] ParseParameters()
    {
        _tokens.ExpectOperator("(");
        var parameters = new List<(string Name, Expression? Default)>();
        while (!_tokens.SkipOperator(")"))
        {
            if (parameters.Count > 0)
                _tokens.ExpectOperator(",");
            var name = _tokens.Expect(TokenKind.Name);
            var fallback = _tokens.SkipOperator("=") ? _expressions.Parse() : null;
            if (fallback is null && parameters.Any(parameter => parameter.Default is not null))
                throw TemplateError.Syntax("non-default argument follows default argument", name.Offset);
            parameters.Add((name.Text, fallback));
        }
        return [.. parameters];
    }

    private MacroDefinition ParseDefinition(string name, (string, Expression?)[] parameters, string end)
    {
        var (outerNames, outerLoops) = (_expressions.Names, _loops);
        (_expressions.Names, _loops) = ([], 0);
        var body = ParseBlock(end);
        var names = _expressions.Names;
        (_expressions.Names, _loops) = (outerNames, outerLoops);
        outerNames.UnionWith(names);
        return new(name, parameters, body, TakesRest: names.Contains("varargs"), TakesOptions: names.Contains("kwargs"));
    }

    private With ParseWith()
    {
        var bindings = new List<(Target, Expression)>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (bindings.Count > 0)
                _tokens.ExpectOperator(",");
            var target = ParseTarget(withNamespace: false);
            _tokens.ExpectOperator("=");
            bindings.Add((target, _expressions.Parse()));
        }
        return new([.. bindings], ParseBlock("endwith"));
    }

    private GenerationBlock ParseGeneration()
    {
        MarksGenerations = true;
        var loops = _loops;
        _loops = 0;
        var body = ParseBlock("endgeneration");
        _loops = loops;
        return new(body);
    }

    /// <summary>A body with its end tag.</summary>
    private Statement[] ParseBlock(string end)
    {
        var body = ParseInner(end);
        _tokens.Take();
        return body;
    }

    /// <summary>A body up to one of its end tags, whose name comes next.</summary>
    private Statement[] ParseInner(params string[] ends)
    {
        _tokens.SkipOperator(":"); // As Python writes it.
        _tokens.Expect(TokenKind.BlockEnd);
        return ParseBody(ends);
    }

    private Target ParseTarget(bool withNamespace)
    {
        var offset = _tokens.Current.Offset;
        var isBracketed = _tokens.SkipOperator("(");
        var targets = new List<Target>();
        var isTuple = false;
        do
        {
            if (targets.Count > 0 && (_tokens.Current.Kind != TokenKind.Name || _tokens.Current.IsName("in")))
                break;
            targets.Add(ParseSingleTarget(withNamespace));
            isTuple |= _tokens.Current.IsOperator(",");
        }
        while (_tokens.SkipOperator(","));
        if (isBracketed)
            _tokens.ExpectOperator(")");
        return isTuple ? new TupleTarget([.. targets], offset) : targets[0];
    }

    private Target ParseSingleTarget(bool withNamespace)
    {
        var name = _tokens.Expect(TokenKind.Name);
        if (name.Text is "true" or "false" or "none" or "True" or "False" or "None")
            throw TemplateError.Syntax($"can't assign to '{name.Text}'", name.Offset);
        return withNamespace && _tokens.SkipOperator(".")
            ? new NamespaceTarget(name.Text, _tokens.Expect(TokenKind.Name).Text, name.Offset)
            : new NameTarget(name.Text, name.Offset);
    }
}
