using FineTuneService.Training.DataQuality;

namespace FineTuneService.Training.Tests.DataQuality;

public sealed class PersonalDataTests
{
    [Theory]
    [InlineData("write to jane.doe+bank@mail.example.co.uk please", "write to [email] please")]
    [InlineData("my card is 4111 1111 1111 1111.", "my card is [credit card].")]
    [InlineData("card 5500-0000-0000-0004", "card [credit card]")]
    [InlineData("pay DE89 3704 0044 0532 0130 00 today", "pay [iban] today")]
    [InlineData("GB82WEST12345698765432", "[iban]")]
    [InlineData("ssn 078-05-1120", "ssn [social security number]")]
    [InlineData("from 192.168.10.4 again", "from [ip address] again")]
    [InlineData("at 2001:db8:0:0:1:0:0:1 again", "at [ip address] again")]
    [InlineData("call +49 170 1234567 now", "call [phone] now")]
    [InlineData("call (415) 555-2671 now", "call [phone] now")]
    [InlineData("call 030 12345678", "call [phone]")]
    [InlineData("key AKIAIOSFODNN7EXAMPLE here", "key [secret] here")]
    [InlineData("token ghp_abcdefghijklmnopqrstuvwxyz0123456789", "token [secret]")]
    [InlineData("-----BEGIN RSA PRIVATE KEY-----", "[secret]")]
    [InlineData("a@b.de and c@d.org", "[email] and [email]")]
    public void Finds_are_masked_by_their_kind(string text, string masked) => Assert.Equal(masked, PersonalData.Mask(text));

    [Theory]
    [InlineData("I paid 4111 1111 1111 1112 yesterday")] // Luhn's sum is wrong.
    [InlineData("order DE89 3704 0044 0532 0130 01")] // so is the number modulo 97
    [InlineData("000-12-3456")] // No such number is given out.
    [InlineData("version 10.2.3 of 2024-01-31 at 12:30:45")]
    [InlineData("1999.10.20.300 is no address")]
    [InlineData("127.0.0.1 is everybody's")]
    [InlineData("it cost 1,234,567.89 dollars in 2024")]
    [InlineData("in 2010-2019 sales rose")]
    [InlineData("meet @ 5 o'clock")]
    [InlineData("std::vector of ints")]
    [InlineData("desk-sized risk-taking asks much")]
    public void What_only_looks_like_them_stays(string text) => Assert.Equal(text, PersonalData.Mask(text));
}
